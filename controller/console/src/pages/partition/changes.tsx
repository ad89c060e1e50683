import {
  Button,
  Table,
  TableBody,
  TableCell,
  TableContainer,
  TableHead,
  TableHeader,
  TableRow,
} from "@carbon/react";
import { Link } from "wouter";
import type { components } from "@/api/schema";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { useChanges, type Agent } from "./queries";

type Entry = components["schemas"]["AuditEntry"];

/** What was done to this partition, newest first, as the audit log has it. */
export function Changes({ agent }: { agent: Agent }) {
  const t = texts.partition.changes;
  const { id } = agent.summary;
  const query = useChanges(id);
  return (
    <Loaded query={query}>
      {({ pages }) => {
        const entries = pages.flatMap((page) => page.items);
        return entries.length ? (
          <>
            <Entries entries={entries} />
            <div className="row below">
              {query.hasNextPage ? (
                <Button
                  kind="tertiary"
                  size="sm"
                  disabled={query.isFetchingNextPage}
                  onClick={() => void query.fetchNextPage()}
                >
                  {t.older}
                </Button>
              ) : null}
              <Link className="cds--link" href={`/audit?object=${encodeURIComponent(id)}`}>
                {t.all}
              </Link>
            </div>
          </>
        ) : (
          <EmptyState title={texts.partition.tabs.changes}>{t.none}</EmptyState>
        );
      }}
    </Loaded>
  );
}

function Entries({ entries }: { entries: readonly Entry[] }) {
  const t = texts.partition.changes;
  return (
    <TableContainer>
      <Table size="sm" aria-label={texts.partition.tabs.changes}>
        <TableHead>
          <TableRow>
            {[t.at, t.actor, t.from, t.action, t.detail, t.change].map((head) => (
              <TableHeader key={head}>{head}</TableHeader>
            ))}
          </TableRow>
        </TableHead>
        <TableBody>
          {entries.map((entry) => (
            <TableRow key={entry.sequence}>
              <TableCell className="nowrap">
                <Time at={entry.at} />
              </TableCell>
              <TableCell className="wrapped">{entry.actor}</TableCell>
              <TableCell>{entry.from}</TableCell>
              <TableCell className="mono">{entry.action}</TableCell>
              <TableCell className="wrapped">{entry.detail}</TableCell>
              <TableCell className="wrapped">
                <Change entry={entry} />
              </TableCell>
            </TableRow>
          ))}
        </TableBody>
      </Table>
    </TableContainer>
  );
}

function Change({ entry: { before, after } }: { entry: Entry }) {
  const t = texts.partition.changes;
  const side = (name: string, value: unknown) =>
    value === undefined || value === null ? null : (
      <div>
        <span className="muted">{name}</span> <code>{JSON.stringify(value)}</code>
      </div>
    );
  return (
    <>
      {side(t.before, before)}
      {side(t.after, after)}
    </>
  );
}
