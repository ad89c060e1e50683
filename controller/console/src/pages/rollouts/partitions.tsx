import { Search, Select, SelectItem } from "@carbon/react";
import { useMemo, useRef } from "react";
import { Link } from "wouter";
import type { RolloutPartition, RolloutPartitionState, RolloutView } from "@/api/schema";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useAddress } from "@/hooks/address";
import { count } from "@/hooks/format";
import { useRows } from "@/hooks/rows";
import { texts } from "@/texts";
import { MOST_PARTITIONS, partitionsOf, type useRolloutPartitions } from "./data";
import { PartitionStanding } from "./state";

const t = texts.rollouts.partitions;
const ROW = 36;
/** Rows that are shown without scrolling in the table. */
const TALL = 14;
/** What wants to be seen first comes first. */
const ORDER: readonly RolloutPartitionState[] = [
  "failed",
  "unwell",
  "going_back",
  "changing",
  "proving",
  "accepted",
  "proven",
  "planned",
  "back",
  "gone",
];

/** The partitions of the rollout, or of the wave and state that were chosen. */
export function Partitions(props: { view: RolloutView; query: ReturnType<typeof useRolloutPartitions> }) {
  const all = partitionsOf(props.view.waves);
  return (
    <section aria-labelledby="rollout-partitions">
      <h2 id="rollout-partitions">{t.title}</h2>
      {all > MOST_PARTITIONS ? <p className="muted">{t.most(count(MOST_PARTITIONS), count(all))}</p> : null}
      <Loaded query={props.query}>
        {(partitions) =>
          partitions.length ? (
            <Chosen view={props.view} partitions={partitions} />
          ) : (
            <p className="muted">{all ? t.forgotten : t.none}</p>
          )
        }
      </Loaded>
    </section>
  );
}

function Chosen({ view, partitions }: { view: RolloutView; partitions: RolloutPartition[] }) {
  const [params, set] = useAddress();
  const wave = params.get("wave") ?? "";
  const state = params.get("state") ?? "";
  const words = params.get("q") ?? "";
  const rows = useMemo(() => {
    const wanted = words.toLowerCase();
    return partitions
      .filter(
        (partition) =>
          (!wave || String(partition.wave) === wave) &&
          (!state || partition.state === state) &&
          `${partition.name} ${partition.reason ?? ""}`.toLowerCase().includes(wanted),
      )
      .sort(byNeed);
  }, [partitions, wave, state, words]);
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
          id="rollout-wave"
          inline
          labelText={t.wave}
          value={wave}
          onChange={({ target }) => set({ wave: target.value })}
        >
          <SelectItem value="" text={t.allWaves} />
          {view.waves.map(({ name }, position) => (
            <SelectItem key={name} value={String(position)} text={name} />
          ))}
        </Select>
        <Select
          id="rollout-state"
          inline
          labelText={t.state}
          value={state}
          onChange={({ target }) => set({ state: target.value })}
        >
          <SelectItem value="" text={t.allStates} />
          {ORDER.map((name) => (
            <SelectItem key={name} value={name} text={texts.rollouts.partitionState[name]} />
          ))}
        </Select>
        <span className="muted" role="status">
          {t.shown(count(rows.length), count(partitions.length))}
        </span>
      </div>
      {rows.length ? <Grid view={view} rows={rows} /> : <p className="muted">{t.noneFound}</p>}
    </>
  );
}

function byNeed(a: RolloutPartition, b: RolloutPartition): number {
  return (
    ORDER.indexOf(a.state) - ORDER.indexOf(b.state) ||
    a.wave - b.wave ||
    a.name.localeCompare(b.name, undefined, { numeric: true })
  );
}

/** Ten thousand rows scroll as well as ten: only those in sight are there. */
function Grid({ view, rows }: { view: RolloutView; rows: RolloutPartition[] }) {
  const frame = useRef<HTMLDivElement>(null);
  const drawn = useRows({
    frame,
    count: rows.length,
    size: ROW,
    keyOf: (position) => rows[position]?.id ?? position,
  });
  const columns = [t.partition, t.wave, t.state, t.since, t.until, t.reason];
  return (
    <div
      ref={frame}
      className="grid rollout-grid"
      role="table"
      aria-labelledby="rollout-partitions"
      aria-rowcount={rows.length + 1}
      {...drawn.keys}
      style={{ maxBlockSize: `${String(TALL * ROW + 54)}px` }}
    >
      <div role="rowgroup" className="rollout-grid-head">
        <div role="row" aria-rowindex={1}>
          {columns.map((name) => (
            <span key={name} role="columnheader">
              {name}
            </span>
          ))}
        </div>
      </div>
      <div
        role="rowgroup"
        className="rollout-grid-body"
        style={{ blockSize: `${String(drawn.lines.getTotalSize())}px` }}
      >
        {drawn.lines.getVirtualItems().map(({ index, start, key }) => {
          const partition = rows[index];
          return partition ? (
            <Row
              key={key}
              view={view}
              partition={partition}
              index={index}
              start={start}
              stop={drawn.stop(index)}
            />
          ) : null;
        })}
      </div>
    </div>
  );
}

function Row(props: {
  view: RolloutView;
  partition: RolloutPartition;
  index: number;
  start: number;
  /** Whether the Tab key stops here. */
  stop: 0 | -1;
}) {
  const { view, partition } = props;
  const { id, name, wave, state, since, reason } = partition;
  return (
    <div
      role="row"
      aria-rowindex={props.index + 2}
      data-index={props.index}
      style={{ blockSize: `${String(ROW)}px`, transform: `translateY(${String(props.start)}px)` }}
    >
      <span role="cell">
        <Link className="cds--link" href={`/partitions/${encodeURIComponent(id)}`} tabIndex={props.stop}>
          {name}
        </Link>
      </span>
      <span role="cell">{view.waves[wave]?.name}</span>
      <span role="cell">
        <PartitionStanding state={state} />
      </span>
      <span role="cell">
        <Time at={since} relative />
      </span>
      <span role="cell">
        <Time at={until(view, partition)} />
      </span>
      <span role="cell" title={reason}>
        {reason}
      </span>
    </div>
  );
}

/** When its present state ends at the latest, as the strategy has it. */
function until(view: RolloutView, { state, since }: RolloutPartition): string | undefined {
  const { deadline_seconds, soak_seconds } = view.strategy;
  const left: Partial<Record<RolloutPartitionState, number>> = {
    changing: deadline_seconds,
    going_back: deadline_seconds,
    proving: soak_seconds,
  };
  const seconds = left[state];
  if (!since || seconds === undefined) return undefined;
  return new Date(Date.parse(since) + seconds * 1_000).toISOString();
}
