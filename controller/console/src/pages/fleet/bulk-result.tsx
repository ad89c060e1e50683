import {
  InlineNotification,
  Stack,
  Table,
  TableBody,
  TableCell,
  TableHead,
  TableHeader,
  TableRow,
} from "@carbon/react";
import { Link } from "wouter";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import type { BulkState } from "./bulk";

/** What was done, what was not, and why not. */
export function BulkResult({ state }: { state: BulkState }) {
  const t = texts.fleet.bulk;
  const { done, failures, left } = state;
  const well = failures.length === 0 && left === 0;
  return (
    <Stack gap={5}>
      <InlineNotification
        kind={failures.length > 0 ? "error" : left > 0 ? "warning" : "success"}
        lowContrast
        hideCloseButton
        title={well ? t.allDone(count(done)) : t.result(count(done), count(failures.length))}
        subtitle={left > 0 ? t.stopped(count(left)) : ""}
      />
      {failures.length > 0 ? (
        <div className="fleet-failures" role="region" aria-label={t.failures} tabIndex={0}>
          <Table size="sm">
            <TableHead>
              <TableRow>
                <TableHeader>{t.partition}</TableHeader>
                <TableHeader>{t.why}</TableHeader>
              </TableRow>
            </TableHead>
            <TableBody>
              {failures.map(({ row, why }) => (
                <TableRow key={row.id}>
                  <TableCell>
                    <Link href={`/partitions/${row.id}`}>{row.name}</Link>
                  </TableCell>
                  <TableCell>{why}</TableCell>
                </TableRow>
              ))}
            </TableBody>
          </Table>
        </div>
      ) : null}
    </Stack>
  );
}
