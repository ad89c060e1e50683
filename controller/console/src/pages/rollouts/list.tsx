import {
  Button,
  Search,
  Select,
  SelectItem,
  Table,
  TableBody,
  TableCell,
  TableContainer,
  TableHead,
  TableHeader,
  TableRow,
} from "@carbon/react";
import { Add } from "@carbon/icons-react";
import { Link, useLocation } from "wouter";
import type { RolloutSummary } from "@/api/schema";
import { OnlyFor } from "@/components/only-for";
import { Page } from "@/components/page";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useAddress } from "@/hooks/address";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import { isOver, partitionsOf, useRollout, useRollouts, whatOf } from "./data";
import { Proposals } from "./proposals";
import { ProgressBar, RolloutStanding, sumOf } from "./state";

const t = texts.rollouts;
/** Rows at a time: older ones are asked for rarely. */
const ROWS = 50;
/** Reasons of what went back are asked for one by one, so only for the newest. */
const TOLD = 20;

/** All rollouts, newest first, and proposals that wait. */
export function RolloutList() {
  const query = useRollouts();
  return (
    <Page title={t.title} lead={t.lead} actions={<StartButton />}>
      <Proposals />
      <Loaded query={query}>
        {(rollouts) =>
          rollouts.length === 0 ? (
            <EmptyState title={t.emptyTitle} action={<StartButton />}>
              {t.empty}
            </EmptyState>
          ) : (
            <Filtered rollouts={rollouts} />
          )
        }
      </Loaded>
    </Page>
  );
}

function StartButton() {
  const [, navigate] = useLocation();
  return (
    <OnlyFor least="operator">
      <Button size="md" renderIcon={Add} onClick={() => navigate("/rollouts/new")}>
        {t.start}
      </Button>
    </OnlyFor>
  );
}

function Filtered({ rollouts }: { rollouts: RolloutSummary[] }) {
  const [params, set] = useAddress();
  const words = params.get("q") ?? "";
  const which = params.get("show") ?? "all";
  const rows = Math.max(ROWS, Number(params.get("rows")) || 0);
  const found = rollouts.filter((rollout) => fits(rollout, which, words.toLowerCase()));
  return (
    <>
      <div className="rollout-tools">
        <Search
          size="md"
          labelText={t.search}
          placeholder={t.search}
          value={words}
          onChange={({ target }) => set({ q: target.value }, true)}
        />
        <Select
          id="rollouts-show"
          size="md"
          inline
          labelText={t.show}
          value={which}
          onChange={({ target }) => set({ show: target.value === "all" ? "" : target.value })}
        >
          {(["all", "open", "done", "rolled_back"] as const).map((name) => (
            <SelectItem key={name} value={name} text={t.shown[name]} />
          ))}
        </Select>
      </div>
      {found.length ? <Rows rollouts={found.slice(0, rows)} /> : <p>{t.noneFound}</p>}
      {found.length > rows ? (
        <Button kind="ghost" size="sm" onClick={() => set({ rows: String(rows + ROWS) }, true)}>
          {t.older(found.length - rows)}
        </Button>
      ) : null}
    </>
  );
}

function fits(rollout: RolloutSummary, which: string, words: string): boolean {
  if (which === "open" && isOver(rollout.state)) return false;
  if ((which === "done" || which === "rolled_back") && rollout.state !== which) return false;
  const text = `${String(rollout.id)} ${whatOf(rollout.changes, rollout.package)} ${rollout.started_by} ${rollout.description ?? ""}`;
  return text.toLowerCase().includes(words);
}

function Rows({ rollouts }: { rollouts: RolloutSummary[] }) {
  return (
    <TableContainer>
      <Table size="md" useZebraStyles={false} aria-label={t.title}>
        <TableHead>
          <TableRow>
            {(["number", "what", "state", "progress", "by", "started", "ended"] as const).map((name) => (
              <TableHeader key={name}>{t.columns[name]}</TableHeader>
            ))}
          </TableRow>
        </TableHead>
        <TableBody>
          {rollouts.map((rollout, position) => (
            <Row key={rollout.id} rollout={rollout} told={position < TOLD} />
          ))}
        </TableBody>
      </Table>
    </TableContainer>
  );
}

function Row({ rollout, told }: { rollout: RolloutSummary; told: boolean }) {
  const { id, state } = rollout;
  return (
    <TableRow>
      <TableCell>
        <Link className="cds--link" href={`/rollouts/${String(id)}`} aria-label={t.one(id)}>
          {id}
        </Link>
      </TableCell>
      <TableCell>
        <div>{whatOf(rollout.changes, rollout.package)}</div>
        {rollout.description ? <div className="muted">{rollout.description}</div> : null}
      </TableCell>
      <TableCell>
        <RolloutStanding state={state} />
        {state === "done" || !told ? null : <Words id={id} />}
      </TableCell>
      <TableCell>
        <Progress rollout={rollout} told={told} />
      </TableCell>
      <TableCell>{rollout.started_by}</TableCell>
      <TableCell className="nowrap">
        <Time at={rollout.started_at} relative />
      </TableCell>
      <TableCell className="nowrap">
        <Time at={rollout.ended_at} />
      </TableCell>
    </TableRow>
  );
}

/** The planner's own words: the wave, and what it waits for or why it went back. */
function Words({ id }: { id: number }) {
  const { data } = useRollout(id);
  if (!data) return null;
  const wave = isOver(data.state) ? undefined : data.waves[data.wave];
  const lines = [data.reason, ...data.waiting.slice(0, 2)].filter((line, position, every) => {
    // While it is halted the reason stands in what it waits for, too.
    return line && !every.some((other, at) => at !== position && other?.includes(line));
  });
  return (
    <div className="rollout-words muted">
      {wave ? <div>{t.waveOf(wave.name, data.wave + 1, data.waves.length)}</div> : null}
      {lines.map((line) => (
        <div key={line}>{line}</div>
      ))}
    </div>
  );
}

/** How many passed. Of those that are over the list tells no counts, so the newest of them are asked themselves. */
function Progress({ rollout, told }: { rollout: RolloutSummary; told: boolean }) {
  const uncounted = rollout.partitions === 0;
  const { data } = useRollout(rollout.id, told && uncounted);
  const counts = uncounted ? sumOf(data?.waves ?? []) : counted(rollout);
  const all = uncounted ? partitionsOf(data?.waves ?? []) : rollout.partitions;
  if (all === 0) return <>—</>;
  return (
    <div className="rollout-progress">
      <ProgressBar counts={counts} label={t.columns.progress} />
      <span className="muted">
        {t.passedOf(count(counts.proven), count(all))}
        {counts.failed ? `, ${t.failedOf(count(counts.failed))}` : ""}
      </span>
    </div>
  );
}

function counted({ partitions, proven, failed }: RolloutSummary) {
  return { proven, failed, planned: partitions - proven - failed };
}
