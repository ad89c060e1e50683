import { useMemo } from "react";
import type { GridLine } from "@/components/data-grid/types";
import { GroupSums } from "./groups";
import {
  groupWord,
  inGroup,
  type Change,
  type PartitionGroup,
  type PartitionRow,
  type Wanted,
} from "./query";
import { NO_GROUPS, useGroups, useRange, useWindows, type Windows } from "./windows";

type Line = GridLine<PartitionRow>;

const WAITING: Line = { kind: "waiting" };

/** The lines of the table: the rows that match, or the groups with the rows of the one that is open. */
export function useTableLines(wanted: Wanted, change: (by: Change) => void) {
  const list = JSON.stringify([wanted.filter, wanted.sort, wanted.group]);
  const grouped = wanted.group !== undefined;
  const groups = useGroups(wanted);
  const found: readonly PartitionGroup[] = (grouped ? groups.data?.groups : undefined) ?? NO_GROUPS;
  const opened = wanted.open === undefined ? -1 : found.findIndex(({ value }) => value === wanted.open);
  const asked = useMemo(() => askedOf(wanted), [wanted]);
  // Rows begin below the heading of their group.
  const before = grouped ? opened + 1 : 0;
  const shown = asked && (!grouped || opened >= 0) ? asked : undefined;
  const [range, onRange] = useRange(list);
  const seen = { first: Math.max(0, range.first - before), last: Math.max(0, range.last - before) };
  const windows = useWindows(shown, seen, !grouped);
  const rows = shown ? (windows.matching ?? found[opened]?.agents ?? 0) : 0;
  const lines = { grouped, wanted, found, opened, rows, windows, change };
  return {
    list,
    asked: shown,
    before,
    windows,
    onRange,
    view: grouped ? groups.data : windows.view,
    error: grouped ? (groups.data ? windows.error : groups.error) : windows.error,
    refetch: () => {
      if (grouped) void groups.refetch();
      windows.refetch();
    },
    count: rows + found.length,
    line: (index: number) => lineAt(lines, index),
  };
}

function askedOf(wanted: Wanted): Pick<Wanted, "filter" | "sort"> | undefined {
  if (wanted.group === undefined) return { filter: wanted.filter, sort: wanted.sort };
  const filter = wanted.open === undefined ? undefined : inGroup(wanted, wanted.open);
  return filter && { filter, sort: wanted.sort };
}

interface Lines {
  grouped: boolean;
  wanted: Wanted;
  found: readonly PartitionGroup[];
  opened: number;
  rows: number;
  windows: Windows;
  change: (by: Change) => void;
}

function lineAt({ grouped, wanted, found, opened, rows, windows, change }: Lines, index: number): Line {
  const rowAt = (at: number): Line => {
    const row = windows.row(at);
    return row ? { kind: "row", row } : WAITING;
  };
  if (!grouped) return rowAt(index);
  const below = index - opened - 1;
  if (opened >= 0 && below >= 0 && below < rows) return rowAt(below);
  const group = found[opened >= 0 && below >= rows ? index - rows : index];
  if (!group) return WAITING;
  const open = group.value === wanted.open;
  const opens = inGroup(wanted, group.value) !== undefined;
  return {
    kind: "group",
    id: group.value,
    name: groupWord(wanted.group ?? "", group.value),
    open,
    toggle: opens ? () => change({ open: open ? undefined : group.value }) : undefined,
    content: <GroupSums group={group} />,
  };
}
