import type { MaintenanceWindow, RolloutStrategy } from "@/api/schema";
import { labelWords } from "@/hooks/labels";
import { texts } from "@/texts";
import { spanWords } from "./span";

const t = texts.rollouts.settings;

/** How a rollout goes, in full. */
export function Settings({
  strategy,
  labels,
}: {
  strategy: RolloutStrategy;
  labels: Record<string, string>;
}) {
  const s = strategy;
  const facts: [string, string][] = [
    [t.labels, labelWords(labels) || t.everybody],
    [t.canaries, canaryWords(s)],
    [t.waves, s.waves.map((share) => `${String(share)} %`).join(", ") || t.oneWave],
    [t.maxUnavailable, s.max_unavailable],
    [t.maxFailures, s.max_failures],
    [t.success, `${String(s.success_percent)} %`],
    [t.soak, spanWords(s.soak_seconds)],
    [t.deadline, spanWords(s.deadline_seconds)],
    [t.recovery, spanWords(s.recovery_seconds)],
    [t.onFailure, t.failure[s.on_failure]],
    [t.gates, gateWords(s)],
    [t.windows, s.windows.map(windowWords).join("; ") || t.anyTime],
  ];
  // A policy names its partitions itself; a package without labels is for all.
  const shown = Object.keys(labels).length ? facts : facts.slice(1);
  return (
    <dl className="facts">
      {shown.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function canaryWords(strategy: RolloutStrategy): string {
  if (strategy.canaries === 0) return t.noCanaries;
  const labels = labelWords(strategy.canary_labels);
  return labels ? t.canariesWith(strategy.canaries, labels) : String(strategy.canaries);
}

/** What a partition must show to pass. */
export function gateWords({ gates }: RolloutStrategy): string {
  const limit = (value: number | null | undefined, words: (value: number) => string) =>
    typeof value === "number" ? words(value) : undefined;
  const parts = [
    gates.health ? t.gate.health : undefined,
    limit(gates.max_lag_seconds, (seconds) => t.gate.lag(spanWords(seconds))),
    limit(gates.max_error_percent, t.gate.errors),
    limit(gates.min_rate_percent, t.gate.least),
    limit(gates.max_rate_percent, t.gate.most),
  ];
  return parts.filter(Boolean).join(", ") || t.gate.none;
}

function windowWords({ labels = {}, days = [], from, to, time_zone }: MaintenanceWindow): string {
  const when = `${from}–${to} ${time_zone}`;
  const on = days.map((day) => texts.rollouts.days[day]).join(", ");
  const whom = labelWords(labels);
  return [whom ? `${whom}:` : "", on, when].filter(Boolean).join(" ");
}
