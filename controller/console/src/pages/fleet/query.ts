import { useMemo } from "react";
import { useSearchParams } from "wouter";
import type { components, paths } from "@/api/schema";
import type { AgentState } from "@/components/health";
import type { GridSort } from "@/components/data-grid/types";
import { texts } from "@/texts";

/** A line of the table. */
export type PartitionRow = components["schemas"]["PartitionRow"];
/** Sums of a group. */
export type PartitionGroup = components["schemas"]["PartitionGroup"];
/** What there is to filter by. */
export type PartitionFacets = components["schemas"]["PartitionFacets"];
/** The query of the table, as the controller takes it. */
export type PartitionsQuery = NonNullable<paths["/api/v1/fleet/partitions"]["get"]["parameters"]["query"]>;
export type PolicyState = components["schemas"]["PolicyState"];
export type FlagKind = components["schemas"]["FlagKind"];
export type AgentKind = components["schemas"]["AgentKind"];

/** Parameters that say which partitions are wanted; a link's are the controller's own. */
export const FILTERS = [
  "search",
  "state",
  "label",
  "version",
  "os_release",
  "policy",
  "flag",
  "kind",
] as const;
export type FilterName = (typeof FILTERS)[number];

/** What the page shows: all of it is in its address, so that it can be sent to somebody, and Back goes back. */
export interface Wanted {
  filter: Readonly<Partial<Record<FilterName, string>>>;
  sort: GridSort;
  /** By what the rows are grouped. */
  group: string | undefined;
  /** The value of the group that is open. */
  open: string | undefined;
}

/** A change of it; an empty text takes something away. */
export type Change = Partial<Record<FilterName | "sort" | "order" | "group" | "open", string | undefined>>;

/** Reads what the address says, and changes it. Typing replaces the entry in the history, choosing adds one. */
export function useWanted() {
  const [params, setParams] = useSearchParams();
  const text = params.toString();
  const wanted = useMemo(() => read(new URLSearchParams(text)), [text]);
  const change = (by: Change, replace = false) => {
    setParams(
      (now) => {
        const next = new URLSearchParams(now);
        for (const [name, value] of Object.entries(by)) {
          if (value === undefined || (value === "" && name !== "open")) next.delete(name);
          else next.set(name, value);
        }
        return next;
      },
      { replace },
    );
  };
  return { wanted, change } as const;
}

function read(params: URLSearchParams): Wanted {
  const filter: Partial<Record<FilterName, string>> = {};
  for (const name of FILTERS) {
    const value = params.get(name);
    if (value) filter[name] = value;
  }
  const group = params.get("group") ?? undefined;
  return {
    filter,
    sort: { key: params.get("sort") ?? "name", descending: params.get("order") === "desc" },
    group,
    open: group === undefined ? undefined : (params.get("open") ?? undefined),
  };
}

/** Filter and order as the controller takes them. */
export function queryOf({ filter, sort }: Pick<Wanted, "filter" | "sort">): PartitionsQuery {
  const { policy, flag, kind, ...texts } = filter;
  return {
    ...texts,
    // What the address says is checked by the controller, which names what it does not know.
    ...(policy ? { policy: policy as PolicyState } : {}),
    ...(flag ? { flag: flag as FlagKind } : {}),
    ...(kind ? { kind: kind as AgentKind } : {}),
    ...(sort.key === "name" ? {} : { sort: sort.key }),
    ...(sort.descending ? { order: "desc" as const } : {}),
  };
}

/** The address of the file with all that match. */
export function csvOf(wanted: Pick<Wanted, "filter" | "sort">): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(queryOf(wanted))) params.set(name, String(value));
  const text = params.toString();
  return `/api/v1/fleet/partitions.csv${text ? `?${text}` : ""}`;
}

/** Members of a list with commas. */
export function members(text: string | undefined): string[] {
  return (text ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
}

/** A list with commas with a member more, or without it. */
export function toggled(text: string | undefined, member: string): string {
  const now = members(text);
  return (now.includes(member) ? now.filter((one) => one !== member) : [...now, member]).join(",");
}

/** A list of labels with another one; a key has one value only. */
export function withLabel(text: string | undefined, key: string, value: string): string {
  return [...members(text).filter((label) => !label.startsWith(`${key}=`)), `${key}=${value}`].join(",");
}

/** The filter of what is in a group; nothing where the controller has no filter for it. */
export function inGroup(wanted: Wanted, value: string): Wanted["filter"] | undefined {
  const { filter, group } = wanted;
  switch (group) {
    case "state":
      return { ...filter, state: value };
    case "os_release":
      return value ? { ...filter, os_release: value } : undefined;
    case "version":
      return value
        ? { ...filter, version: filter.version ? `${filter.version}, =${value}` : `=${value}` }
        : undefined;
    default:
      return group && value
        ? { ...filter, label: withLabel(filter.label, group.replace("label:", ""), value) }
        : undefined;
  }
}

/** One thing that is filtered by: its words, and the change that takes it away. */
export interface Active {
  key: string;
  words: string;
  without: Change;
}

/** All that is filtered by. */
export function activeOf(filter: Wanted["filter"]): Active[] {
  const t = texts.fleet.filter;
  const found: Active[] = [];
  for (const name of FILTERS) {
    const value = filter[name];
    if (!value) continue;
    if (name === "state" || name === "label") {
      for (const member of members(value)) {
        const words = name === "state" ? stateWord(member) : member;
        const without = { [name]: toggled(value, member) };
        found.push({ key: `${name} ${member}`, words: t.is(t.name[name], words), without });
      }
    } else {
      found.push({ key: name, words: t.is(t.name[name], valueWord(name, value)), without: { [name]: "" } });
    }
  }
  return found;
}

/** Nothing filtered any more. */
export const UNFILTERED: Change = Object.fromEntries(FILTERS.map((name) => [name, ""]));

/** A state's word; what is none stays as it is, so that it can be seen and taken away. */
export function stateWord(state: string): string {
  return state in texts.common.state ? texts.common.state[state as AgentState] : state;
}

function valueWord(name: FilterName, value: string): string {
  const { policyState } = texts.common;
  const { flag, kind } = texts.fleet.filter;
  if (name === "policy" && value in policyState) return policyState[value as PolicyState];
  if (name === "flag" && value in flag) return flag[value as FlagKind];
  if (name === "kind" && value in kind) return kind[value as AgentKind];
  return value;
}

/** What a group is called. */
export function groupWord(group: string, value: string): string {
  const t = texts.fleet.group;
  if (value === "") return group.startsWith("label:") ? t.without(group.replace("label:", "")) : t.unknown;
  return group === "state" ? stateWord(value) : value;
}
