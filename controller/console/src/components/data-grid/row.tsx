import { ChevronDown, ChevronRight } from "@carbon/icons-react";
import { memo, type ReactNode } from "react";
import { texts } from "@/texts";
import type { GridColumn } from "./types";

interface Placed {
  id: string;
  index: number;
  top: number;
  active: boolean;
}

/** What any line has: its place, and how it is found again from an event. */
function place({ id, index, top, active }: Placed) {
  return {
    role: "row",
    id,
    "aria-rowindex": index + 2,
    "data-index": index,
    "data-active": active,
    style: { transform: `translateY(${String(top)}px)` },
  } as const;
}

interface RowProps<T> extends Placed {
  row: T;
  name: string;
  columns: readonly GridColumn<T>[];
  selectable: boolean;
  selected: boolean;
  level: number | undefined;
}

function Row<T>(props: RowProps<T>) {
  return (
    <div
      {...place(props)}
      className="data-grid-line"
      aria-level={props.level}
      aria-selected={props.selectable ? props.selected : undefined}
    >
      {props.selectable ? (
        <div role="gridcell" className="data-grid-select">
          {/* By keyboard the row itself is selected; what a click does is heard by the grid. */}
          <input
            type="checkbox"
            tabIndex={-1}
            readOnly
            checked={props.selected}
            aria-label={texts.grid.select(props.name)}
          />
        </div>
      ) : null}
      {props.columns.map((column) => (
        <div
          key={column.id}
          role={column.names ? "rowheader" : "gridcell"}
          className={column.names ? "data-grid-name" : column.end ? "data-grid-end" : undefined}
        >
          {column.cell(props.row)}
        </div>
      ))}
    </div>
  );
}

/** A row. It is drawn anew only if something of it changes, whatever happens to the others. */
export const GridRow = memo(Row) as typeof Row;

/** The place of a row that is being loaded. */
export const WaitingRow = memo(function WaitingRow(props: Placed & { cells: number }) {
  return (
    <div {...place(props)} className="data-grid-line" aria-busy="true">
      <div
        role="gridcell"
        aria-colspan={props.cells}
        aria-label={texts.common.loading}
        className="data-grid-waiting"
      />
    </div>
  );
});

/** The heading of a group. */
export function GroupRow(
  props: Placed & { cells: number; name: string; open: boolean; opens: boolean; content: ReactNode },
) {
  const Icon = props.open ? ChevronDown : ChevronRight;
  return (
    <div
      {...place(props)}
      className="data-grid-line data-grid-group"
      aria-level={1}
      aria-expanded={props.opens ? props.open : undefined}
    >
      <div role="gridcell" aria-colspan={props.cells}>
        {props.opens ? <Icon aria-hidden="true" /> : <span className="data-grid-no-chevron" />}
        <strong>{props.name}</strong>
        {props.content}
      </div>
    </div>
  );
}
