import { defaultRangeExtractor, useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState, type FocusEvent, type KeyboardEvent, type RefObject } from "react";
import { goal } from "./list-keys";

/** Where the number of a row stands. */
const ROW = "[data-index]";

/**
 * The rows of a long list, of which only those in sight are drawn. They are one stop of the Tab key, as a grid is: what of a
 * row can be pressed takes `stop(index)` as its `tabIndex`, the row its number as `data-index`, and the frame `keys`; the
 * arrows then lead from row to row.
 */
export function useRows(list: {
  frame: RefObject<HTMLElement | null>;
  count: number;
  /** Height of a row in pixels. */
  size: number;
  keyOf: (index: number) => number | string;
}) {
  const { frame, count, size } = list;
  const [chosen, setChosen] = useState(-1);
  const wanted = useRef<number>(undefined);
  const active = Math.min(chosen, count - 1);
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing that it gives is kept from one drawing to the next
  const lines = useVirtualizer({
    count,
    getScrollElement: () => frame.current,
    estimateSize: () => size,
    overscan: 12,
    getItemKey: list.keyOf,
    // The headings lie over the rows, and take their room.
    scrollPaddingEnd: 2 * size,
    rangeExtractor: (range) => {
      const drawn = defaultRangeExtractor(range);
      // The row with the focus stays: without it the focus would be lost.
      if (active < 0 || drawn.includes(active)) return drawn;
      return active < (drawn[0] ?? 0) ? [active, ...drawn] : [...drawn, active];
    },
  });
  useEffect(() => {
    if (wanted.current === undefined) return;
    const row = frame.current?.querySelector(`[data-index="${String(wanted.current)}"]`);
    wanted.current = undefined;
    row?.querySelector<HTMLElement>("a, button")?.focus();
  });
  const stop = active >= 0 ? active : (lines.range?.startIndex ?? 0);
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const row = event.target instanceof Element ? event.target.closest<HTMLElement>(ROW) : null;
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(event.currentTarget.clientHeight / size) - 2);
    const at = Number(row.dataset["index"]);
    const wish = goal(event.key, at, page, count);
    if (wish === undefined) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(count - 1, wish));
    if (to === at) return;
    // Focused once it is drawn: it may be far out of sight.
    wanted.current = to;
    setChosen(to);
    lines.scrollToIndex(to);
  };
  const onFocus = (event: FocusEvent<HTMLElement>) => {
    const row = event.target.closest<HTMLElement>(ROW);
    if (row) setChosen(Number(row.dataset["index"]));
  };
  return {
    lines,
    stop: (index: number) => (index === stop ? 0 : -1),
    keys: { onKeyDown, onFocus },
  } as const;
}
