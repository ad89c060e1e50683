import { Button, Table, TableBody, TableCell, TableHead, TableHeader, TableRow } from "@carbon/react";
import { useState } from "react";
import type { RolloutNote } from "@/api/schema";
import { Time } from "@/components/time";
import { texts } from "@/texts";

const t = texts.rollouts.history;
/** The newest say what matters; all of them are a click away. */
const SHORT = 12;

/** What the planner decided and people ordered, newest first, in its own words. */
export function History({ log }: { log: RolloutNote[] }) {
  const [whole, setWhole] = useState(false);
  const newest = log.toReversed();
  const shown = whole ? newest : newest.slice(0, SHORT);
  return (
    <section aria-labelledby="rollout-history">
      <h2 id="rollout-history">{t.title}</h2>
      <Table size="sm" aria-labelledby="rollout-history">
        <TableHead>
          <TableRow>
            <TableHeader className="rollout-when">{t.when}</TableHeader>
            <TableHeader>{t.what}</TableHeader>
          </TableRow>
        </TableHead>
        <TableBody>
          {shown.map(({ at, text }, position) => (
            <TableRow key={newest.length - position}>
              <TableCell className="nowrap">
                <Time at={at} />
              </TableCell>
              <TableCell>{text}</TableCell>
            </TableRow>
          ))}
        </TableBody>
      </Table>
      {newest.length > SHORT ? (
        <Button kind="ghost" size="sm" onClick={() => setWhole(!whole)}>
          {whole ? t.less : t.more(newest.length - SHORT)}
        </Button>
      ) : null}
    </section>
  );
}
