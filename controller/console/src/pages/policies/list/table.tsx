import {
  Button,
  Table,
  TableBody,
  TableCell,
  TableContainer,
  TableHead,
  TableHeader,
  TableRow,
  Tag,
} from "@carbon/react";
import { useState } from "react";
import { Link } from "wouter";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { Labels } from "../labels";
import { Progress } from "./progress";
import type { Row } from "./rows";

const t = texts.policies.list;
/** Rows that are shown at first: each asks how far its policy has got. */
const FIRST = 50;

/** The list as a table. */
export function PolicyTable({ rows }: { rows: readonly Row[] }) {
  const [most, setMost] = useState(FIRST);
  const { columns } = t;
  return (
    <>
      <TableContainer className="policy-table">
        <Table size="lg" aria-label={texts.policies.title}>
          <TableHead>
            <TableRow>
              <TableHeader>{columns.name}</TableHeader>
              <TableHeader className="number">{columns.priority}</TableHeader>
              <TableHeader>{columns.selector}</TableHeader>
              <TableHeader className="number">{columns.revision}</TableHeader>
              <TableHeader>{columns.published}</TableHeader>
              <TableHeader>{columns.progress}</TableHeader>
              <TableHeader>{columns.drafts}</TableHeader>
            </TableRow>
          </TableHead>
          <TableBody>
            {rows.slice(0, most).map((row) => (
              <PolicyRow key={row.name} row={row} />
            ))}
          </TableBody>
        </Table>
      </TableContainer>
      {rows.length > most ? (
        <Button kind="ghost" size="sm" onClick={() => setMost(most + FIRST)}>
          {t.more(rows.length - most)}
        </Button>
      ) : null}
    </>
  );
}

function PolicyRow({ row }: { row: Row }) {
  const { name, revision } = row;
  const live = revision && !revision.removed;
  return (
    <TableRow>
      <TableCell>
        <Link href={`/policies/${name}`} className="cds--link">
          {name}
        </Link>
        {revision?.description ? <div className="policy-about">{revision.description}</div> : null}
      </TableCell>
      <TableCell className="number">{live ? revision.priority : ""}</TableCell>
      <TableCell>{live ? <Labels of={revision.selector ?? {}} /> : null}</TableCell>
      <TableCell className="number">{revision ? revision.revision : ""}</TableCell>
      <TableCell>
        {revision ? (
          <>
            {revision.removed ? (
              <Tag size="sm" type="gray">
                {t.isRemoved}
              </Tag>
            ) : null}
            <Time at={revision.published_at} relative /> {t.by(revision.published_by)}
          </>
        ) : (
          <span className="muted">{t.notPublished}</span>
        )}
      </TableCell>
      <TableCell>{live ? <Progress name={name} /> : null}</TableCell>
      <TableCell>
        <Coming row={row} />
      </TableCell>
    </TableRow>
  );
}

/** What would change the policy: drafts, and a rollout under way. */
function Coming({ row }: { row: Row }) {
  return (
    <>
      {row.drafts.map((draft) => (
        <div key={draft.name}>
          <Link href={`/policies/${draft.name}/edit`} className="cds--link">
            {draft.name === row.name ? t.draft : t.draftNamed(draft.name)}
          </Link>{" "}
          <span className="muted">
            {t.by(draft.updated_by)}, <Time at={draft.updated_at} relative />
          </span>
        </div>
      ))}
      {row.rollout ? (
        <div>
          <Link href={`/rollouts/${String(row.rollout.id)}`} className="cds--link">
            {t.rollout(Number(row.rollout.id))}
          </Link>
        </div>
      ) : null}
    </>
  );
}
