import { defaultRangeExtractor, useVirtualizer } from "@tanstack/react-virtual";
import {
  useEffect,
  useId,
  useLayoutEffect,
  useRef,
  useState,
  type CSSProperties,
  type MouseEvent,
} from "react";
import { GridHeader } from "./header";
import { pressed } from "./keyboard";
import { GridRow, GroupRow, WaitingRow } from "./row";
import type { GridColumn, GridLine, GridSelection, GridSort } from "./types";
import "./data-grid.scss";

/** Height of every line in pixels; the style has the same. */
export const LINE = 32;
/** Width of the column of boxes. */
const BOX = 40;

/** What a grid shows, and whom it tells. */
export interface DataGridProps<T> {
  /** What it is a list of. */
  label: string;
  /** The columns, in their order. The same list while nothing of them changes. */
  columns: readonly GridColumn<T>[];
  /** Number of lines, loaded or not. */
  count: number;
  /** A line by its place. */
  line: (index: number) => GridLine<T>;
  rowId: (row: T) => string;
  rowName: (row: T) => string;
  sort: GridSort;
  onSort: (key: string) => void;
  /** A row was opened. */
  onOpen: (row: T) => void;
  /** Which lines are seen: those to load. */
  onRange: (first: number, last: number) => void;
  /** Rows can be chosen. */
  selection?: GridSelection<T>;
  /** Lines are headings of groups, and rows below them. */
  grouped?: boolean;
  /** Another list is shown when this changes: it begins at its top. */
  list: string;
}

/**
 * A grid of any number of rows: only those that are seen are drawn, and whoever uses it loads only those. It is one stop of
 * the Tab key; the arrows go through the rows (`role=grid`, or `treegrid` with groups).
 */
export function DataGrid<T>(props: DataGridProps<T>) {
  const scroll = useRef<HTMLDivElement>(null);
  const place = `${props.label} ${props.list}`;
  const [active, setActive] = useActive(place);
  const lines = useLines(props, scroll, active);
  usePlace(place, scroll, active);
  const id = useId();
  const cells = props.columns.length + (props.selection ? 1 : 0);
  const go = (index: number) => {
    setActive(index);
    lines.scrollToIndex(index);
  };
  const items = lines.getVirtualItems();
  return (
    <div
      ref={scroll}
      className="data-grid"
      role={props.grouped ? "treegrid" : "grid"}
      aria-label={props.label}
      aria-rowcount={props.count + 1}
      aria-colcount={cells}
      aria-multiselectable={props.selection ? true : undefined}
      aria-activedescendant={
        items.some(({ index }) => index === active) ? `${id}-${String(active)}` : undefined
      }
      tabIndex={0}
      style={layout(props.columns, Boolean(props.selection))}
      onFocus={(event) => {
        if (event.target === scroll.current && active < 0 && props.count > 0)
          setActive(lines.range?.startIndex ?? 0);
      }}
      onKeyDown={(event) => {
        if (event.target !== scroll.current) return;
        const page = Math.max(1, Math.floor(scroll.current.clientHeight / LINE) - 2);
        const board = { ...props, selection: props.selection, page, active, go, open: props.onOpen };
        if (pressed(event, board)) event.preventDefault();
      }}
    >
      <GridHeader {...props} selection={props.selection} />
      <div
        role="rowgroup"
        className="data-grid-body"
        style={{ blockSize: lines.getTotalSize() }}
        onClick={(event) => {
          const index = indexOf(event);
          if (index === undefined) return;
          clicked(event, index, active, props);
          setActive(index);
          scroll.current?.focus({ preventScroll: true });
        }}
      >
        {items.map(({ index, start }) => (
          <Line
            key={index}
            grid={props}
            cells={cells}
            placed={{ id: `${id}-${String(index)}`, index, top: start - LINE, active: index === active }}
          />
        ))}
      </div>
    </div>
  );
}

/** Where somebody was in the list that was left last: Back leads there again. */
let left: { list: string; top: number; active: number } | undefined;

/** The line that the keys act on; none in a new list. */
function useActive(list: string) {
  const [active, setActive] = useState({ list, index: left?.list === list ? left.active : -1 });
  return [active.list === list ? active.index : -1, (index: number) => setActive({ list, index })] as const;
}

/** Which lines are drawn: those that are seen, some around them, and the active one, which assistive technology looks for. */
function useLines<T>(
  props: DataGridProps<T>,
  scroll: { readonly current: HTMLDivElement | null },
  active: number,
) {
  // eslint-disable-next-line react-hooks/incompatible-library -- it is used here only, and nothing of it is memoised
  const lines = useVirtualizer({
    count: props.count,
    getScrollElement: () => scroll.current,
    estimateSize: () => LINE,
    overscan: 12,
    // The headings lie above the lines, and stay there when these are moved.
    scrollMargin: LINE,
    scrollPaddingStart: LINE,
    rangeExtractor: (range) => {
      const drawn = defaultRangeExtractor(range);
      if (active < 0 || active >= props.count || drawn.includes(active)) return drawn;
      return active < (drawn[0] ?? 0) ? [active, ...drawn] : [...drawn, active];
    },
  });
  const first = lines.range?.startIndex ?? 0;
  const last = lines.range?.endIndex ?? 0;
  const { onRange } = props;
  useEffect(() => onRange(first, last), [onRange, first, last]);
  return lines;
}

/** A new list begins at its top; the one that was left last, where it was left. */
function usePlace(list: string, scroll: { readonly current: HTMLDivElement | null }, active: number) {
  const now = useRef({ list, active });
  useEffect(() => {
    now.current = { list, active };
  });
  useLayoutEffect(() => {
    scroll.current?.scrollTo({ top: left?.list === list ? left.top : 0 });
    left = undefined;
  }, [scroll, list]);
  useLayoutEffect(() => {
    const element = scroll.current;
    return () => {
      left = { ...now.current, top: element?.scrollTop ?? 0 };
    };
  }, [scroll]);
}

function Line<T>(props: {
  grid: DataGridProps<T>;
  cells: number;
  placed: { id: string; index: number; top: number; active: boolean };
}) {
  const { grid, cells, placed } = props;
  const line = grid.line(placed.index);
  if (line.kind === "waiting") return <WaitingRow {...placed} cells={cells} />;
  if (line.kind === "group") {
    return <GroupRow {...placed} {...line} id={placed.id} cells={cells} opens={Boolean(line.toggle)} />;
  }
  return (
    <GridRow
      {...placed}
      row={line.row}
      name={grid.rowName(line.row)}
      columns={grid.columns}
      selectable={Boolean(grid.selection)}
      selected={grid.selection?.chosen.has(grid.rowId(line.row)) ?? false}
      level={grid.grouped ? 2 : undefined}
    />
  );
}

/** Widths, for the style: the same for headings and lines. */
function layout<T>(columns: readonly GridColumn<T>[], selectable: boolean) {
  const box = selectable ? BOX : 0;
  const widths = columns.map(({ width, grow }) =>
    grow ? `minmax(${String(width)}px, 1fr)` : `${String(width)}px`,
  );
  const least = columns.reduce((sum, { width }) => sum + width, box);
  return {
    "--data-grid-columns": (selectable ? [`${String(BOX)}px`, ...widths] : widths).join(" "),
    "--data-grid-width": `${String(least)}px`,
    "--data-grid-box": `${String(box)}px`,
  } as CSSProperties;
}

function indexOf(event: MouseEvent): number | undefined {
  const line = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-index]") : null;
  const index = Number(line?.dataset["index"]);
  return line ? index : undefined;
}

/** What a click on a line means: its box or a key chooses, a link is followed by itself, all else opens. */
function clicked<T>(event: MouseEvent, index: number, active: number, props: DataGridProps<T>) {
  const line = props.line(index);
  if (line.kind === "group") line.toggle?.();
  if (line.kind !== "row") return;
  const { selection } = props;
  const at = event.target instanceof Element ? event.target : undefined;
  const onBox = Boolean(at?.closest(".data-grid-select"));
  if (selection && event.shiftKey && active >= 0) {
    window.getSelection()?.removeAllRanges();
    selection.extend(active, index);
  } else if (selection && (onBox || event.ctrlKey || event.metaKey) && !at?.closest("a")) {
    selection.toggle(line.row);
  } else if (!at?.closest("a") && window.getSelection()?.isCollapsed !== false) {
    props.onOpen(line.row);
  }
}
