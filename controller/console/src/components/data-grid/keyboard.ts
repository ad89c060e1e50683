import type { KeyboardEvent } from "react";
import { goal } from "@/hooks/list-keys";
import type { GridLine, GridSelection } from "./types";

/** What the keys of a grid act on. */
interface Board<T> {
  count: number;
  /** Lines that are seen at once. */
  page: number;
  active: number;
  line: (index: number) => GridLine<T>;
  go: (index: number) => void;
  open: (row: T) => void;
  selection: GridSelection<T> | undefined;
}

/** Keys as in any list: arrows, pages, ends, Enter opens, Space selects. Tells whether the key was one of them. */
export function pressed<T>(event: KeyboardEvent, board: Board<T>): boolean {
  const to = target(event, board);
  if (to !== undefined) {
    if (board.count === 0) return true;
    const next = Math.max(0, Math.min(board.count - 1, to));
    if (event.shiftKey && board.active >= 0) board.selection?.extend(board.active, next);
    board.go(next);
    return true;
  }
  return acted(event, board);
}

function target<T>(event: KeyboardEvent, { active, page, count }: Board<T>): number | undefined {
  if (event.altKey || event.metaKey) return undefined;
  return goal(event.key, active, page, count);
}

function acted<T>(event: KeyboardEvent, board: Board<T>): boolean {
  const line = board.active >= 0 && board.active < board.count ? board.line(board.active) : undefined;
  const control = event.ctrlKey || event.metaKey;
  if (control && event.key === "a" && board.selection) {
    board.selection.all();
    return true;
  }
  if (control || event.altKey) return false;
  if (event.key === "Escape" && board.selection && board.selection.chosen.size > 0) {
    board.selection.clear();
    return true;
  }
  if (line?.kind === "group") return grouped(event.key, line);
  if (event.key === " ") {
    if (line?.kind === "row") board.selection?.toggle(line.row);
    return true;
  }
  if (event.key === "Enter" && line?.kind === "row") {
    board.open(line.row);
    return true;
  }
  return false;
}

function grouped(key: string, line: { open: boolean; toggle: (() => void) | undefined }): boolean {
  const wanted =
    key === "Enter" ||
    key === " " ||
    (key === "ArrowRight" && !line.open) ||
    (key === "ArrowLeft" && line.open);
  if (wanted) line.toggle?.();
  return wanted;
}
