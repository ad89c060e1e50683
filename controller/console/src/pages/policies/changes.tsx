import { AddFilled, ArrowsHorizontal, SubtractFilled } from "@carbon/icons-react";
import { Table, TableBody, TableCell, TableContainer, TableHead, TableHeader, TableRow } from "@carbon/react";
import { texts } from "@/texts";
import type { Change } from "./data";

const t = texts.policies.changes;
const ICONS = {
  added: { icon: AddFilled, tone: "good" },
  removed: { icon: SubtractFilled, tone: "bad" },
  changed: { icon: ArrowsHorizontal, tone: "warn" },
} as const;

/** What differs between two policies, each with its place. */
export function Changes({ of, label }: { of: readonly Change[]; label: string }) {
  if (of.length === 0) return <p className="muted">{t.none}</p>;
  return (
    <TableContainer className="changes">
      <Table size="sm" aria-label={label}>
        <TableHead>
          <TableRow>
            <TableHeader>{t.kind}</TableHeader>
            <TableHeader>{t.path}</TableHeader>
            <TableHeader>{t.before}</TableHeader>
            <TableHeader>{t.after}</TableHeader>
          </TableRow>
        </TableHead>
        <TableBody>
          {of.map((change) => (
            <Line key={`${change.kind} ${change.path}`} change={change} />
          ))}
        </TableBody>
      </Table>
    </TableContainer>
  );
}

function Line({ change }: { change: Change }) {
  const { icon: Icon, tone } = ICONS[change.kind];
  return (
    <TableRow>
      <TableCell>
        <span className={`state tone-${tone}`}>
          <Icon aria-hidden="true" />
          {t.kinds[change.kind]}
        </span>
      </TableCell>
      <TableCell className="mono">{change.path}</TableCell>
      <TableCell className="mono">{written(change.before)}</TableCell>
      <TableCell className="mono">{written(change.after)}</TableCell>
    </TableRow>
  );
}

/** A value as it would stand in a policy, in one line. */
function written(value: unknown): string {
  if (value === undefined || value === null) return "—";
  if (typeof value === "object") {
    const parts = Array.isArray(value)
      ? value.map(written).join(", ")
      : Object.entries(value)
          .filter(([, each]) => each !== null)
          .map(([key, each]) => `${key}: ${written(each)}`)
          .join(", ");
    return Array.isArray(value) ? `[${parts}]` : `{${parts}}`;
  }
  return typeof value === "string" && value === "" ? '""' : String(value);
}
