import { ArrowDown, ArrowUp, ArrowsVertical } from "@carbon/icons-react";
import { useEffect, useRef } from "react";
import { texts } from "@/texts";
import type { GridColumn, GridSelection, GridSort } from "./types";

/** The headings: each that can sorts by its column. */
export function GridHeader<T>(props: {
  columns: readonly GridColumn<T>[];
  sort: GridSort;
  onSort: (key: string) => void;
  count: number;
  selection: GridSelection<T> | undefined;
}) {
  return (
    <div role="presentation" className="data-grid-head">
      <div role="row" aria-rowindex={1} className="data-grid-line">
        {props.selection ? (
          <div role="columnheader" className="data-grid-select">
            <SelectAll selection={props.selection} count={props.count} />
          </div>
        ) : null}
        {props.columns.map((column) => (
          <Heading key={column.id} column={column} sort={props.sort} onSort={props.onSort} />
        ))}
      </div>
    </div>
  );
}

function SelectAll<T>({ selection, count }: { selection: GridSelection<T>; count: number }) {
  const t = texts.grid;
  const box = useRef<HTMLInputElement>(null);
  const some = selection.chosen.size > 0;
  const every = some && selection.chosen.size >= count;
  useEffect(() => {
    if (box.current) box.current.indeterminate = some && !every;
  }, [some, every]);
  return (
    <input
      ref={box}
      type="checkbox"
      checked={every}
      disabled={count === 0 && !some}
      aria-label={some ? t.selectNone : t.selectAll}
      title={some ? t.selectNone : t.selectAll}
      onChange={() => (some ? selection.clear() : selection.all())}
    />
  );
}

function Heading<T>(props: { column: GridColumn<T>; sort: GridSort; onSort: (key: string) => void }) {
  const { column, sort } = props;
  const by = column.sort;
  const sorted = by !== undefined && sort.key === by;
  const className = [column.names ? "data-grid-name" : "", column.end ? "data-grid-end" : ""]
    .join(" ")
    .trim();
  if (by === undefined) {
    return (
      <div role="columnheader" className={className}>
        {column.name}
      </div>
    );
  }
  const Icon = !sorted ? ArrowsVertical : sort.descending ? ArrowDown : ArrowUp;
  return (
    <div
      role="columnheader"
      className={className}
      aria-sort={sorted ? (sort.descending ? "descending" : "ascending") : "none"}
    >
      <button type="button" className="data-grid-sort" data-sorted={sorted} onClick={() => props.onSort(by)}>
        {column.name}
        <Icon aria-hidden="true" />
      </button>
    </div>
  );
}
