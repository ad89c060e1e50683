import {
  Button,
  Checkbox,
  Popover,
  PopoverContent,
  Select,
  SelectItem,
  SelectItemGroup,
} from "@carbon/react";
import { Filter } from "@carbon/icons-react";
import { useRef, useState, type ReactNode } from "react";
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
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const active = activeOf(props.filter).filter(({ key }) => key !== "search").length;
  return (
    <Popover
      open={open}
      align="bottom-start"
      caret={false}
      dropShadow
      onRequestClose={() => setOpen(false)}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        setOpen(false);
        button.current?.focus();
      }}
    >
      <Button
        ref={button}
        kind="ghost"
        size="sm"
        renderIcon={Filter}
        aria-expanded={open}
        aria-haspopup="dialog"
        onClick={() => setOpen(!open)}
      >
        {active > 0 ? t.count(active) : t.button}
      </Button>
      <PopoverContent>{open ? <Filters {...props} /> : null}</PopoverContent>
    </Popover>
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

/** A label in two steps: there may be many keys, and many values of each. */
function Labels({ filter, facets, change }: Filtering) {
  const t = texts.fleet.filter;
  const [key, setKey] = useState("");
  const values = facets?.labels[key];
  const now = members(filter.label)
    .find((label) => label.startsWith(`${key}=`))
    ?.slice(key.length + 1);
  return (
    <>
      <Select
        size="sm"
        id="filter-label-key"
        labelText={t.labelKey}
        value={key}
        onChange={(event) => setKey(event.target.value)}
      >
        <SelectItem value="" text={t.pickKey} />
        {Object.keys(facets?.labels ?? {}).map((name) => (
          <SelectItem key={name} value={name} text={name} />
        ))}
      </Select>
      <Select
        size="sm"
        id="filter-label-value"
        labelText={t.labelValue}
        disabled={!key}
        value={now ?? ""}
        onChange={({ target: { value } }) => {
          const label = value
            ? withLabel(filter.label, key, value)
            : toggled(filter.label, `${key}=${now ?? ""}`);
          change({ label });
        }}
      >
        <SelectItem value="" text={now === undefined ? t.pickValue : t.any} />
        {options(values)}
      </Select>
    </>
  );
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
