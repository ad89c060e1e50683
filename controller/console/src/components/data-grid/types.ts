import type { ReactNode } from "react";

/** A column of a grid. */
export interface GridColumn<T> {
  id: string;
  /** Its heading. */
  name: string;
  /** Width in pixels; the least one if it grows. */
  width: number;
  /** Takes its part of the room that is left. */
  grow?: boolean;
  /** Numbers stand at the end of their cell. */
  end?: boolean;
  /** By what the server sorts for it; without, it cannot be sorted. */
  sort?: string;
  /** Shown only if somebody chooses it. */
  extra?: boolean;
  /** Always shown, at the beginning, also while the others are moved sideways: it names the row. */
  names?: boolean;
  cell: (row: T) => ReactNode;
}

/** How the rows are sorted. */
export interface GridSort {
  key: string;
  descending: boolean;
}

/** A line of a grid: a row, one that is being loaded, or a heading above the rows of a group. */
export type GridLine<T> =
  | { kind: "row"; row: T }
  | { kind: "waiting" }
  | {
      kind: "group";
      id: string;
      name: string;
      open: boolean;
      toggle: (() => void) | undefined;
      content: ReactNode;
    };

/** What of a grid is chosen, and how to choose. */
export interface GridSelection<T> {
  chosen: ReadonlyMap<string, T>;
  toggle(row: T): void;
  /** Adds the rows of these lines, loaded or not. */
  extend(from: number, to: number): void;
  /** Chooses all rows there are, as far as that is allowed. */
  all(): void;
  clear(): void;
}
