import {
  CheckmarkFilled,
  CircleDash,
  ErrorFilled,
  InProgress,
  Pause,
  Renew,
  Time,
  Undo,
  WarningFilled,
  type CarbonIconType,
} from "@carbon/icons-react";
import type { RolloutPartitionState, RolloutState, WaveView } from "@/api/schema";
import { count } from "@/hooks/format";
import { texts } from "@/texts";

interface Sign {
  icon: CarbonIconType;
  tone: "good" | "warn" | "bad" | "calm";
}

const ROLLOUT: Record<RolloutState, Sign> = {
  running: { icon: InProgress, tone: "calm" },
  paused: { icon: Pause, tone: "warn" },
  halted: { icon: ErrorFilled, tone: "bad" },
  rolling_back: { icon: Undo, tone: "bad" },
  done: { icon: CheckmarkFilled, tone: "good" },
  rolled_back: { icon: Undo, tone: "warn" },
};

const PARTITION: Record<RolloutPartitionState, Sign> = {
  planned: { icon: CircleDash, tone: "calm" },
  changing: { icon: Renew, tone: "calm" },
  proving: { icon: Time, tone: "calm" },
  unwell: { icon: WarningFilled, tone: "warn" },
  proven: { icon: CheckmarkFilled, tone: "good" },
  failed: { icon: ErrorFilled, tone: "bad" },
  accepted: { icon: WarningFilled, tone: "warn" },
  going_back: { icon: Undo, tone: "warn" },
  back: { icon: Undo, tone: "calm" },
  gone: { icon: CircleDash, tone: "calm" },
};

function Signed({ sign: { icon: Icon, tone }, word }: { sign: Sign; word: string }) {
  return (
    <span className={`state tone-${tone}`}>
      <Icon aria-hidden="true" />
      {word}
    </span>
  );
}

/** Where a rollout stands, by icon and word. */
export function RolloutStanding({ state }: { state: RolloutState }) {
  return <Signed sign={ROLLOUT[state]} word={texts.rollouts.state[state]} />;
}

/** Where a partition stands in a rollout. */
export function PartitionStanding({ state }: { state: RolloutPartitionState }) {
  return <Signed sign={PARTITION[state]} word={texts.rollouts.partitionState[state]} />;
}

/** The counts of a wave in the order in which partitions get on. */
export const COUNTS = [
  "proven",
  "proving",
  "changing",
  "unwell",
  "failed",
  "back",
  "gone",
  "planned",
] as const;
/** One of them. */
export type Count = (typeof COUNTS)[number];

/** The counts of several waves together. */
export function sumOf(waves: readonly WaveView[]): Record<Count, number> {
  const sum = { proven: 0, proving: 0, changing: 0, unwell: 0, failed: 0, back: 0, gone: 0, planned: 0 };
  for (const wave of waves) for (const name of COUNTS) sum[name] += wave[name];
  return sum;
}

/** How far it is, as a bar; read out as the figures that it stands for. */
export function ProgressBar({ counts, label }: { counts: Partial<Record<Count, number>>; label: string }) {
  const all = COUNTS.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  return (
    <div className="rollout-bar" role="img" aria-label={`${label}: ${figures(counts)}`}>
      {COUNTS.filter((name) => counts[name]).map((name) => (
        <span
          key={name}
          className={`part part-${name}`}
          style={{ inlineSize: `${String((100 * (counts[name] ?? 0)) / all)}%` }}
        />
      ))}
    </div>
  );
}

/** `3 passed, 1 failed`: only what there is. */
export function figures(counts: Partial<Record<Count, number>>): string {
  const words = COUNTS.filter((name) => counts[name]).map(
    (name) => `${count(counts[name] ?? 0)} ${texts.rollouts.counts[name]}`,
  );
  return words.join(", ") || texts.rollouts.counts.none;
}
