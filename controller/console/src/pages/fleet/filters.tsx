import { Checkbox, Select, SelectItem, SelectItemGroup } from "@carbon/react";
import { Filter } from "@carbon/icons-react";
import type { ReactNode } from "react";
import { LabelSelects } from "@/components/label-selects";
import { MenuPopover } from "@/components/menu-popover";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import {
  activeOf,
  members,
  stateWord,
  toggled,
  withLabel,
  type Change,
  type FilterName,
  type PartitionFacets,
  type Wanted,
} from "./query";

interface Filtering {
  filter: Wanted["filter"];
  facets: PartitionFacets | undefined;
  change: (by: Change) => void;
}

/** A button that opens all filters. */
export function FilterMenu(props: Filtering) {
  const t = texts.fleet.filter;
  const active = activeOf(props.filter).filter(({ key }) => key !== "search").length;
  return (
    <MenuPopover label={active > 0 ? t.count(active) : t.button} icon={Filter} align="bottom-start">
      <Filters {...props} />
    </MenuPopover>
  );
}

function Filters(props: Filtering) {
  const t = texts.fleet.filter;
  return (
    <div role="dialog" aria-label={t.title} className="fleet-filters">
      <States {...props} />
      <Labels {...props} />
      <Version {...props} />
      <One {...props} name="os_release">
        {options(props.facets?.os_releases)}
      </One>
      <One {...props} name="policy">
        {words(texts.common.policyState)}
      </One>
      <One {...props} name="flag">
        {words(t.flag)}
      </One>
      <One {...props} name="kind">
        {words(t.kind)}
      </One>
    </div>
  );
}

/** Values with the number of partitions that have them. */
function options(values: Readonly<Record<string, number>> | undefined, before = ""): ReactNode {
  const t = texts.fleet.filter;
  const sorted = Object.entries(values ?? {}).sort(([a], [b]) =>
    a.localeCompare(b, undefined, { numeric: true }),
  );
  return sorted.map(([value, partitions]) => (
    <SelectItem key={value} value={before + value} text={t.counted(value, count(partitions))} />
  ));
}

function words(known: Readonly<Record<string, string>>): ReactNode {
  return Object.entries(known).map(([value, text]) => <SelectItem key={value} value={value} text={text} />);
}

function States({ filter, facets, change }: Filtering) {
  const t = texts.fleet.filter;
  const chosen = members(filter.state);
  return (
    <fieldset className="fleet-states">
      <legend>{t.name.state}</legend>
      {Object.keys(texts.common.state).map((state) => (
        <Checkbox
          key={state}
          id={`filter-state-${state}`}
          labelText={t.counted(stateWord(state), count(facets?.states[state] ?? 0))}
          checked={chosen.includes(state)}
          onChange={() => change({ state: toggled(filter.state, state) })}
        />
      ))}
    </fieldset>
  );
}

function Labels({ filter, facets, change }: Filtering) {
  const valueOf = (key: string) =>
    members(filter.label)
      .find((label) => label.startsWith(`${key}=`))
      ?.slice(key.length + 1);
  const choose = (key: string, value: string | undefined) => {
    const label = value
      ? withLabel(filter.label, key, value)
      : toggled(filter.label, `${key}=${valueOf(key) ?? ""}`);
    change({ label });
  };
  return <LabelSelects id="filter-label" labels={facets?.labels} valueOf={valueOf} choose={choose} />;
}

function Version(props: Filtering) {
  const t = texts.fleet.filter;
  const versions = props.facets?.versions;
  return (
    <One {...props} name="version">
      <SelectItemGroup label={t.exactly}>{options(versions, "=")}</SelectItemGroup>
      <SelectItemGroup label={t.older}>
        {Object.keys(versions ?? {}).map((version) => (
          <SelectItem key={version} value={`<${version}`} text={version} />
        ))}
      </SelectItemGroup>
    </One>
  );
}

function One({ name, filter, change, children }: Filtering & { name: FilterName; children: ReactNode }) {
  const t = texts.fleet.filter;
  return (
    <Select
      size="sm"
      id={`filter-${name}`}
      labelText={t.name[name]}
      value={filter[name] ?? ""}
      onChange={(event) => change({ [name]: event.target.value })}
    >
      <SelectItem value="" text={t.any} />
      {children}
    </Select>
  );
}
