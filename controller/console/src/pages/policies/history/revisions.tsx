import {
  Button,
  RadioButton,
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
import { useMay } from "@/api/session";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import type { RevisionView } from "../data";
import { Revert } from "./revert";

const t = texts.policies.history;

interface Props {
  name: string;
  all: readonly RevisionView[];
  /** The newest one in force for everybody. */
  current: number;
  from: number;
  to: number;
  choose: (change: { from?: number; to?: number }) => void;
}

/** The revisions as a table; two of them are chosen to be compared. */
export function Revisions(props: Props) {
  const may = useMay("operator");
  const [back, setBack] = useState<RevisionView>();
  return (
    <>
      <TableContainer>
        <Table size="sm" aria-label={t.table}>
          <TableHead>
            <TableRow>
              <TableHeader>{t.older}</TableHeader>
              <TableHeader>{t.newer}</TableHeader>
              <TableHeader className="number">{t.revision}</TableHeader>
              <TableHeader>{t.published}</TableHeader>
              <TableHeader>{t.by}</TableHeader>
              <TableHeader>{t.description}</TableHeader>
              <TableHeader>{t.standing}</TableHeader>
              <TableHeader aria-label={t.actions} />
            </TableRow>
          </TableHead>
          <TableBody>
            {props.all.map((revision) => (
              <Line key={revision.revision} {...props} revision={revision} back={may ? setBack : undefined} />
            ))}
          </TableBody>
        </Table>
      </TableContainer>
      {back ? <Revert to={back} current={props} close={() => setBack(undefined)} /> : null}
    </>
  );
}

interface LineProps extends Props {
  revision: RevisionView;
  back: ((revision: RevisionView) => void) | undefined;
}

function Line({ revision, current, from, to, choose, back }: LineProps) {
  const number = Number(revision.revision);
  return (
    <TableRow>
      <TableCell>
        <RadioButton
          id={`from-${String(number)}`}
          name="from"
          value={String(number)}
          labelText={t.asOlder(number)}
          hideLabel
          checked={number === from}
          disabled={number >= to}
          onChange={() => choose({ from: number })}
        />
      </TableCell>
      <TableCell>
        <RadioButton
          id={`to-${String(number)}`}
          name="to"
          value={String(number)}
          labelText={t.asNewer(number)}
          hideLabel
          checked={number === to}
          disabled={number <= from}
          onChange={() => choose({ to: number })}
        />
      </TableCell>
      <TableCell className="number">{number}</TableCell>
      <TableCell>
        <Time at={revision.published_at} />
      </TableCell>
      <TableCell>{revision.published_by}</TableCell>
      <TableCell>{revision.comment || revision.description || ""}</TableCell>
      <TableCell>
        <Standing revision={revision} current={number === current} />
      </TableCell>
      <TableCell>
        {back && !revision.removed && number !== current ? (
          <Button kind="ghost" size="sm" onClick={() => back(revision)}>
            {t.revert}
          </Button>
        ) : null}
      </TableCell>
    </TableRow>
  );
}

/** Whether a revision is in force, and the rollout that brought it. */
function Standing({ revision, current }: { revision: RevisionView; current: boolean }) {
  const { rollout } = revision;
  const standing = revision.standing ?? "in_force";
  return (
    <span className="row">
      {current ? (
        <Tag size="sm" type="green">
          {revision.removed ? t.removedNow : t.current}
        </Tag>
      ) : null}
      {!current && revision.removed ? (
        <Tag size="sm" type="gray">
          {t.removing}
        </Tag>
      ) : null}
      {standing === "in_force" ? null : (
        <Tag size="sm" type="blue">
          {t.standings[standing]}
        </Tag>
      )}
      {rollout ? (
        <Link href={`/rollouts/${String(rollout)}`} className="cds--link">
          {texts.policies.list.rollout(Number(rollout))}
        </Link>
      ) : null}
    </span>
  );
}
