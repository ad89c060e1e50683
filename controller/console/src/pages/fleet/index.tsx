import { Button } from "@carbon/react";
import { useMemo, useRef, useState } from "react";
import { useLocation } from "wouter";
import { useMay } from "@/api/session";
import { ColumnMenu } from "@/components/data-grid/column-menu";
import { useColumns } from "@/components/data-grid/columns";
import { DataGrid } from "@/components/data-grid";
import { OnlyFor } from "@/components/only-for";
import { Page } from "@/components/page";
import { EmptyState, ErrorState, LoadingState } from "@/components/states";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import { BulkBar } from "./bulk-bar";
import { columnsOf } from "./columns";
import { Keys, usePageKeys } from "./keys";
import { useTableLines } from "./lines";
import { activeOf, UNFILTERED, useWanted, type Change, type PartitionRow, type Wanted } from "./query";
import { useSelection } from "./selection";
import { Tiles } from "./tiles";
import { Toolbar } from "./toolbar";
import "./fleet.scss";

/** Where the choice of columns is kept. */
const COLUMNS_KEY = "muster.fleet.columns";
/** Where the greatest are looked for, they come first. */
const FALLING: readonly string[] = ["rate", "lag"];

const idOf = (row: PartitionRow) => row.id;
const nameOf = (row: PartitionRow) => row.name;

/** The fleet: how it is as a whole, and every partition of it. */
export default function Fleet() {
  const t = texts.fleet;
  const { wanted, change } = useWanted();
  const table = useTableLines(wanted, change);
  const { view } = table;
  // While another list is loaded, what there is to choose from stays.
  const [facets, setFacets] = useState(view?.facets);
  if (view && view.facets !== facets) setFacets(view.facets);
  const labels = Object.keys(facets?.labels ?? {}).join("\n");
  const columns = useMemo(() => columnsOf(labels.split("\n").filter(Boolean)), [labels]);
  const choice = useColumns(COLUMNS_KEY, columns);
  const search = useRef<HTMLInputElement>(null);
  const keys = usePageKeys(search);
  if (view?.total === 0) {
    return (
      <Page title={t.title}>
        <Tiles wanted={wanted} change={change} />
        <NobodyYet />
      </Page>
    );
  }
  const lead = view ? t.matching(count(view.matching), count(view.total)) : undefined;
  return (
    <div className="fleet">
      <Page title={t.title} lead={<span role="status">{lead}</span>}>
        <Tiles wanted={wanted} change={change} />
        <Toolbar
          wanted={wanted}
          facets={facets}
          change={change}
          search={search}
          columns={<ColumnMenu choice={choice} />}
          showKeys={() => keys.show(true)}
        />
        <TableOfPartitions wanted={wanted} change={change} table={table} columns={choice.shown} />
        {keys.shown ? <Keys close={() => keys.show(false)} /> : null}
      </Page>
    </div>
  );
}

function TableOfPartitions(props: {
  wanted: Wanted;
  change: (by: Change) => void;
  table: ReturnType<typeof useTableLines>;
  columns: ReturnType<typeof columnsOf>;
}) {
  const { wanted, change, table } = props;
  const [, navigate] = useLocation();
  const may = useMay("operator");
  const whole = useMemo(() => ({ filter: wanted.filter, sort: wanted.sort }), [wanted]);
  const selection = useSelection(table.asked, table.before, table.windows, whole);
  const sortBy = (key: string) => {
    const falling = wanted.sort.key === key ? !wanted.sort.descending : FALLING.includes(key);
    change({ sort: key === "name" ? "" : key, order: falling ? "desc" : "" });
  };
  if (table.error) return <ErrorState error={table.error} retry={table.refetch} />;
  if (!table.view) return <LoadingState />;
  return (
    <>
      {table.view.matching === 0 ? (
        <NoMatch filter={wanted.filter} change={change} />
      ) : (
        <DataGrid
          label={texts.fleet.table}
          columns={props.columns}
          count={table.count}
          line={table.line}
          rowId={idOf}
          rowName={nameOf}
          sort={wanted.sort}
          onSort={sortBy}
          onOpen={(row) => navigate(`/partitions/${row.id}`)}
          onRange={table.onRange}
          grouped={table.view.groups !== undefined && wanted.group !== undefined}
          list={table.list}
          {...(may ? { selection } : {})}
        />
      )}
      {/* Below the table, so that no row moves under the pointer when the first one is chosen. */}
      {may ? <BulkBar selection={selection} /> : null}
    </>
  );
}

function NobodyYet() {
  const t = texts.fleet.empty;
  const [, navigate] = useLocation();
  return (
    <EmptyState
      title={t.title}
      action={
        <OnlyFor least="operator" told>
          <Button size="sm" onClick={() => navigate("/enrolment")}>
            {t.action}
          </Button>
        </OnlyFor>
      }
    >
      {t.help}
    </EmptyState>
  );
}

function NoMatch({ filter, change }: { filter: Wanted["filter"]; change: (by: Change) => void }) {
  const t = texts.fleet;
  return (
    <EmptyState
      title={t.noMatch.title}
      action={
        <div className="row">
          {activeOf(filter).map(({ key, words, without }) => (
            <Button key={key} kind="tertiary" size="sm" onClick={() => change(without)}>
              {t.filter.take(words)}
            </Button>
          ))}
          <Button kind="ghost" size="sm" onClick={() => change(UNFILTERED)}>
            {t.filter.clear}
          </Button>
        </div>
      }
    >
      {t.noMatch.help}
    </EmptyState>
  );
}
