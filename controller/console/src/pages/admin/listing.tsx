import { Table, TableBody, TableCell, TableContainer, TableHead, TableHeader, TableRow } from "@carbon/react";
import type { ReactNode } from "react";

/** A column of a listing. */
export interface Column<T> {
  name: string;
  cell: (row: T) => ReactNode;
  /** `number`: to the end of the cell; `actions`: the buttons of a row, whose heading only screen readers need. */
  kind?: "number" | "actions";
}

/** A dense table of a few dozen things. */
export function Listing<T>(props: {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
}) {
  return (
    <TableContainer>
      <Table size="sm" aria-label={props.label}>
        <TableHead>
          <TableRow>
            {props.columns.map((column) => (
              <TableHeader key={column.name} className={column.kind === "number" ? "number" : ""}>
                {column.kind === "actions" ? (
                  <span className="cds--visually-hidden">{column.name}</span>
                ) : (
                  column.name
                )}
              </TableHeader>
            ))}
          </TableRow>
        </TableHead>
        <TableBody>
          {props.rows.map((row) => (
            <TableRow key={props.rowKey(row)}>
              {props.columns.map((column) => (
                <TableCell key={column.name} className={column.kind ?? ""}>
                  {column.cell(row)}
                </TableCell>
              ))}
            </TableRow>
          ))}
        </TableBody>
      </Table>
    </TableContainer>
  );
}
