import {
  columnOrderingFeature,
  columnVisibilityFeature,
  createColumnHelper,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { useEffect, useMemo, useState } from "react";
import type { GridColumn } from "./types";

const features = tableFeatures({ columnVisibilityFeature, columnOrderingFeature });
const helper = createColumnHelper<typeof features, object>();
/** The rows are the server's; here only columns are kept. */
const NO_ROWS: object[] = [];

interface Choice {
  visibility: Record<string, boolean>;
  order: string[];
}

/** The columns of a grid as somebody wants them, kept in the browser. */
export interface ColumnChoice<T> {
  /** Those to show, in their order. */
  shown: readonly GridColumn<T>[];
  /** All, in their order. */
  all: readonly GridColumn<T>[];
  isShown(id: string): boolean;
  show(id: string, shown: boolean): void;
  /** Moves a column by one place. */
  move(id: string, by: -1 | 1): void;
  reset(): void;
}

/** Keeps which columns are shown, and in which order, under a key of the browser's storage. */
export function useColumns<T>(key: string, columns: readonly GridColumn<T>[]): ColumnChoice<T> {
  const [choice, setChoice] = useState(() => read(key));
  useEffect(() => {
    if (choice.order.length === 0 && Object.keys(choice.visibility).length === 0)
      localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(choice));
  }, [key, choice]);
  const definitions = useMemo(
    () => columns.map(({ id, names }) => helper.display({ id, enableHiding: !names })),
    [columns],
  );
  const extra = useMemo(
    () => Object.fromEntries(columns.filter((column) => column.extra).map(({ id }) => [id, false])),
    [columns],
  );
  const visibility = useMemo(() => ({ ...extra, ...choice.visibility }), [extra, choice.visibility]);
  const table = useTable({
    features,
    columns: definitions,
    data: NO_ROWS,
    state: { columnVisibility: visibility, columnOrder: choice.order },
  });
  const ids = table.getAllLeafColumns().map(({ id }) => id);
  const visible = table.getVisibleLeafColumns().map(({ id }) => id);
  const all = useNamed(columns, ids);
  const shown = useNamed(columns, visible);
  return {
    all,
    shown,
    isShown: (id) => visible.includes(id),
    show: (id, on) => setChoice((now) => ({ ...now, visibility: { ...now.visibility, [id]: on } })),
    move: (id, by) => setChoice((now) => ({ ...now, order: moved(ids, id, by) })),
    reset: () => setChoice({ visibility: {}, order: [] }),
  };
}

/** The columns of these names; the same list as before while nothing changes, so that rows are not drawn anew. */
function useNamed<T>(columns: readonly GridColumn<T>[], ids: readonly string[]): readonly GridColumn<T>[] {
  const names = ids.join("\n");
  return useMemo(() => {
    const byId = new Map(columns.map((column) => [column.id, column]));
    const found = names.split("\n").flatMap((id) => byId.get(id) ?? []);
    // What names the row stays first, whatever was chosen.
    return [...found.filter(({ names: first }) => first), ...found.filter(({ names: first }) => !first)];
  }, [columns, names]);
}

function moved(ids: readonly string[], id: string, by: -1 | 1): string[] {
  const from = ids.indexOf(id);
  const to = from + by;
  if (from < 0 || to < 0 || to >= ids.length) return [...ids];
  return ids.toSpliced(from, 1).toSpliced(to, 0, id);
}

function read(key: string): Choice {
  const none: Choice = { visibility: {}, order: [] };
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? "{}");
    if (typeof kept !== "object" || kept === null) return none;
    const { visibility, order } = kept as Partial<Choice>;
    const known = typeof visibility === "object" ? Object.entries(visibility) : [];
    return {
      visibility: Object.fromEntries(known.filter(([, on]) => typeof on === "boolean")),
      order: Array.isArray(order) ? order.filter((id) => typeof id === "string") : [],
    };
  } catch {
    // Somebody else wrote there.
    return none;
  }
}
