import {
  Button,
  DismissibleTag,
  IconButton,
  Search,
  Select,
  SelectItem,
  SelectItemGroup,
} from "@carbon/react";
import { Download, Keyboard } from "@carbon/icons-react";
import { useEffect, useRef, useState, type ReactNode, type RefObject } from "react";
import { texts } from "@/texts";
import { FilterMenu } from "./filters";
import { activeOf, csvOf, UNFILTERED, type Change, type PartitionFacets, type Wanted } from "./query";

/** Until somebody stops typing. */
const TYPING = 60;
/** Longest text that the controller searches for. */
const LONGEST = 200;

interface ToolbarProps {
  wanted: Wanted;
  facets: PartitionFacets | undefined;
  change: (by: Change, replace?: boolean) => void;
  search: RefObject<HTMLInputElement | null>;
  columns: ReactNode;
  showKeys: () => void;
}

/** Search, filters, groups, columns and export. */
export function Toolbar(props: ToolbarProps) {
  const t = texts.fleet;
  return (
    <>
      <div className="fleet-toolbar">
        <SearchField {...props} />
        <FilterMenu filter={props.wanted.filter} facets={props.facets} change={props.change} />
        <GroupChoice {...props} />
        <span className="fleet-space" />
        {props.columns}
        <Button as="a" kind="ghost" size="sm" renderIcon={Download} href={csvOf(props.wanted)} download>
          {t.csv}
        </Button>
        <IconButton kind="ghost" size="sm" label={t.keys.button} align="bottom-end" onClick={props.showKeys}>
          <Keyboard />
        </IconButton>
      </div>
      <ActiveFilters filter={props.wanted.filter} change={props.change} />
    </>
  );
}

function SearchField({ wanted, change, search }: ToolbarProps) {
  const t = texts.fleet;
  const asked = wanted.filter.search ?? "";
  const [text, setText] = useState(asked);
  const [before, setBefore] = useState(asked);
  // By Back, or a cleared filter.
  if (asked !== before) {
    setBefore(asked);
    if (asked !== text.trim()) setText(asked);
  }
  const tell = useRef(change);
  useEffect(() => {
    tell.current = change;
  });
  useEffect(() => {
    if (text.trim() === asked) return undefined;
    const timer = setTimeout(() => tell.current({ search: text.trim(), open: undefined }, true), TYPING);
    return () => clearTimeout(timer);
  }, [text, asked]);
  return (
    <div className="fleet-search">
      <Search
        ref={search}
        size="sm"
        id="fleet-search"
        labelText={t.search}
        placeholder={t.searchHint}
        value={text}
        onChange={(event) => setText(event.target.value.slice(0, LONGEST))}
      />
    </div>
  );
}

function GroupChoice({ wanted, facets, change }: ToolbarProps) {
  const t = texts.fleet.group;
  return (
    <Select
      size="sm"
      inline
      id="fleet-group"
      labelText={t.label}
      value={wanted.group ?? ""}
      onChange={(event) => change({ group: event.target.value, open: undefined })}
    >
      <SelectItem value="" text={t.none} />
      <SelectItem value="state" text={t.state} />
      <SelectItem value="version" text={t.version} />
      <SelectItem value="os_release" text={t.os_release} />
      <SelectItemGroup label={texts.fleet.column.labels}>
        {Object.keys(facets?.labels ?? {}).map((key) => (
          <SelectItem key={key} value={`label:${key}`} text={t.byLabel(key)} />
        ))}
      </SelectItemGroup>
    </Select>
  );
}

function ActiveFilters({ filter, change }: { filter: Wanted["filter"]; change: (by: Change) => void }) {
  const t = texts.fleet.filter;
  const active = activeOf(filter);
  if (active.length === 0) return null;
  return (
    <div className="fleet-active" role="group" aria-label={t.active}>
      {active.map(({ key, words, without }) => (
        <DismissibleTag
          key={key}
          size="md"
          type="cool-gray"
          text={words}
          title={t.take(words)}
          dismissTooltipLabel={t.take(words)}
          onClose={() => change(without)}
        />
      ))}
      <Button kind="ghost" size="sm" onClick={() => change(UNFILTERED)}>
        {t.clear}
      </Button>
    </div>
  );
}
