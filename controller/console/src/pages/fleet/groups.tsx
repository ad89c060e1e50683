import { Health } from "@/components/health";
import { count, rate, span } from "@/hooks/format";
import { texts } from "@/texts";
import type { PartitionGroup } from "./query";

const STATES = ["healthy", "degraded", "failed", "offline"] as const;

/** What the partitions of a group sum up to. */
export function GroupSums({ group }: { group: PartitionGroup }) {
  const t = texts.fleet.group;
  return (
    <>
      <span>{t.agents(count(group.agents))}</span>
      {STATES.filter((state) => group[state] > 0).map((state) => (
        <span key={state} className="row">
          <Health state={state} /> {count(group[state])}
        </span>
      ))}
      {group.other > 0 ? (
        <span>
          {t.other} {count(group.other)}
        </span>
      ) : null}
      <span className="muted">{t.rate(rate(group.received_per_s))}</span>
      <span className="muted">{t.lag(span(group.lag_ms))}</span>
    </>
  );
}
