import { useCallback, useMemo, useState } from "react";
import type { GridSelection } from "@/components/data-grid/types";
import { useToasts } from "@/components/toasts";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import type { PartitionRow, Wanted } from "./query";
import { loadPart, type Windows } from "./windows";

/** Most partitions of a bulk action. */
export const MOST = 1_000;
/** Most rows of one request. */
const PART = 500;

type Asked = Pick<Wanted, "filter" | "sort">;

/** Rows of the table that are not loaded yet, asked for in parts. */
async function load(asked: Asked, from: number, to: number): Promise<PartitionRow[]> {
  const rows: PartitionRow[] = [];
  for (let offset = from; offset < to; offset += PART) {
    const { items } = await loadPart(asked, offset, Math.min(PART, to - offset));
    rows.push(...items);
    if (items.length === 0) break;
  }
  return rows;
}

/**
 * Which partitions are chosen. They stay chosen while somebody searches on, so that a choice can be gathered; their number
 * and names are told before anything is done.
 *
 * `asked` and `first`: what the rows are, and the line of the first one.
 */
export function useSelection(asked: Asked | undefined, first: number, windows: Windows, whole: Asked) {
  const toasts = useToasts();
  const [chosen, setChosen] = useState<ReadonlyMap<string, PartitionRow>>(new Map());
  const add = useCallback((rows: readonly PartitionRow[]) => {
    setChosen((now) => {
      const next = new Map(now);
      for (const row of rows) if (next.size < MOST || next.has(row.id)) next.set(row.id, row);
      return next;
    });
    return rows;
  }, []);
  const clear = useCallback(() => setChosen(new Map()), []);
  const { row, matching } = windows;
  const selection = useMemo<GridSelection<PartitionRow>>(
    () => ({
      chosen,
      clear,
      toggle(one) {
        setChosen((now) => {
          const next = new Map(now);
          if (!next.delete(one.id) && next.size < MOST) next.set(one.id, one);
          return next;
        });
      },
      extend(a, b) {
        if (!asked || matching === undefined) return;
        const from = Math.max(0, Math.min(a, b) - first);
        const to = Math.min(matching, Math.max(a, b) - first + 1, from + MOST);
        const known = Array.from({ length: Math.max(0, to - from) }, (_, at) => row(from + at));
        const rows = known.filter((one) => one !== undefined);
        if (rows.length === known.length) add(rows);
        else load(asked, from, to).then(add).catch(toasts.failed);
      },
      all() {
        load(whole, 0, MOST + 1)
          .then((rows) => {
            add(rows.slice(0, MOST));
            if (rows.length > MOST)
              toasts.done(texts.fleet.bulk.selected(count(MOST)), texts.fleet.bulk.capped(count(MOST)));
          })
          .catch(toasts.failed);
      },
    }),
    [chosen, clear, asked, first, matching, row, whole, add, toasts],
  );
  return selection;
}
