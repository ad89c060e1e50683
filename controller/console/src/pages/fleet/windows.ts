import { keepPreviousData, useQuery, type UseQueryResult } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { queryOf, type PartitionGroup, type PartitionRow, type Wanted } from "./query";

type PartitionsView = components["schemas"]["PartitionsView"];

/** Rows that are loaded together. */
const WINDOW = 100;
/** So many lines before and after those that are seen are loaded, too. */
const AROUND = 20;
/** Windows that can be seen at once; more than any screen shows. */
const SLOTS = [0, 1, 2] as const;
/** What is not seen any more is forgotten soon: a fleet has many windows. */
const FORGET = 10_000;
/** Rates change without an event. */
const AGAIN = 15_000;
/** While somebody scrolls through the fleet, what flies past is not loaded. */
const CALM = 60;

/** The lines that are seen. */
export interface Range {
  first: number;
  last: number;
}

const TOP: Range = { first: 0, last: 40 };

type Asked = Pick<Wanted, "filter" | "sort">;

/** Loads a part of the table. */
export function loadPart(asked: Asked, offset: number, limit: number, signal?: AbortSignal) {
  const query = { ...queryOf(asked), offset, limit };
  return body(api.GET("/api/v1/fleet/partitions", { params: { query }, ...(signal ? { signal } : {}) }));
}

/** What is seen, told once it stands still; another list is seen from its top. */
export function useRange(list: string) {
  const [range, setRange] = useState({ list, ...TOP });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const onRange = useCallback(
    (first: number, last: number) => {
      clearTimeout(timer.current);
      timer.current = setTimeout(() => setRange({ list, first, last }), CALM);
    },
    [list],
  );
  useEffect(() => () => clearTimeout(timer.current), [list]);
  return [range.list === list ? range : TOP, onRange] as const;
}

/** One window. Two neighbours are never in the same slot, so that scrolling changes one while the others stay. */
function useWindow(asked: Asked | undefined, slot: number, first: number, last: number, keep: boolean) {
  const found = [0, 1, 2].map((step) => first + step).find((at) => at % SLOTS.length === slot) ?? first;
  const wanted = asked !== undefined && found <= last;
  const offset = (wanted ? found : first) * WINDOW;
  return useQuery({
    queryKey: ["partitions", "window", asked ?? "none", offset],
    queryFn: ({ signal }) =>
      loadPart(asked ?? { filter: {}, sort: { key: "name", descending: false } }, offset, WINDOW, signal),
    enabled: wanted,
    gcTime: FORGET,
    refetchInterval: AGAIN,
    placeholderData: keep ? keepPreviousData : undefined,
  });
}

/** The rows around those that are seen. */
export interface Windows {
  /** Rows that match. */
  matching: number | undefined;
  view: PartitionsView | undefined;
  /** The row at a place, if it is loaded. */
  row: (index: number) => PartitionRow | undefined;
  error: unknown;
  refetch: () => void;
}

/**
 * The windows of the table that are seen. Live updates load these anew and no others; rows that did not change stay the same
 * objects, so that they are not drawn anew. `keep`: the rows of the filter before stay until the new ones are there.
 */
export function useWindows(asked: Asked | undefined, seen: Range, keep: boolean): Windows {
  const first = Math.max(0, Math.floor((seen.first - AROUND) / WINDOW));
  const last = Math.max(first, Math.floor((seen.last + AROUND) / WINDOW));
  const slots = [
    useWindow(asked, 0, first, last, keep),
    useWindow(asked, 1, first, last, keep),
    useWindow(asked, 2, first, last, keep),
  ];
  // The one at the beginning of what is seen always is wanted.
  const main = slots[first % SLOTS.length];
  const [a, b, c] = slots.map((slot) => slot.data);
  const row = useMemo(() => rowsOf([a, b, c]), [a, b, c]);
  return {
    matching: main?.data?.matching,
    view: main?.data,
    row,
    error: main?.data === undefined ? main?.error : undefined,
    refetch: () => slots.forEach((slot: UseQueryResult) => void slot.refetch()),
  };
}

function rowsOf(views: readonly (PartitionsView | undefined)[]) {
  return (index: number) => {
    for (const view of views) {
      const row = view?.items[index - view.offset];
      if (row) return row;
    }
    return undefined;
  };
}

/** The groups of what matches, without their rows. */
export function useGroups(wanted: Wanted) {
  const { filter, group } = wanted;
  return useQuery({
    queryKey: ["partitions", "groups", filter, group],
    queryFn: async ({ signal }) => {
      const query = {
        ...queryOf({ filter, sort: { key: "name", descending: false } }),
        ...(group ? { group } : {}),
        limit: 0,
      };
      return body(api.GET("/api/v1/fleet/partitions", { params: { query }, signal }));
    },
    enabled: group !== undefined,
    gcTime: FORGET,
    refetchInterval: AGAIN,
    placeholderData: keepPreviousData,
  });
}

/** Groups of a view; none while it is loaded. */
export const NO_GROUPS: readonly PartitionGroup[] = [];
