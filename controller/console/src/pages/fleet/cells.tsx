import { Tag } from "@carbon/react";
import { Link } from "wouter";
import { awayWords } from "@/components/away";
import { Health, PolicyStanding } from "@/components/health";
import { Sparkline } from "@/components/sparkline";
import { PartitionOffset, Time } from "@/components/time";
import { inZone, rate, span } from "@/hooks/format";
import { texts } from "@/texts";
import type { PartitionRow } from "./query";

/** Labels that a cell has room for. */
const LABELS = 2;

/** The name; a link, so that it opens in another tab as well. The row itself is the stop of the keyboard. */
export function NameCell({ row }: { row: PartitionRow }) {
  return (
    <Link className="fleet-name" href={`/partitions/${row.id}`} tabIndex={-1} title={row.name}>
      {row.name}
    </Link>
  );
}

export function LabelsCell({ row }: { row: PartitionRow }) {
  const labels = Object.entries(row.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const more = labels.length - LABELS;
  return (
    <span className="fleet-labels" title={labels.join("\n")}>
      {labels.slice(0, LABELS).map((label) => (
        <span key={label} className="fleet-label">
          {label}
        </span>
      ))}
      {more > 0 ? <span className="muted">{texts.fleet.cell.moreLabels(more)}</span> : null}
    </span>
  );
}

/** Version, and where an upgrade of it stands. */
export function VersionCell({ row }: { row: PartitionRow }) {
  const t = texts.fleet.cell;
  const { upgrade, pin } = row;
  const tells = upgrade && upgrade.step !== "done";
  const bad = upgrade?.step === "failed" || upgrade?.step === "rolled_back" || upgrade?.step === "blocked";
  return (
    <span className="fleet-pair">
      <span>{row.version || texts.common.unknown}</span>
      {tells ? (
        <Tag size="sm" type={bad ? "red" : "blue"} title={upgrade.reason ?? ""}>
          {t.upgrade(t.step[upgrade.step], upgrade.version)}
          {typeof upgrade.percent === "number" ? ` ${t.percent(upgrade.percent)}` : ""}
        </Tag>
      ) : null}
      {pin && !tells ? (
        <Tag size="sm" type="gray">
          {t.pinned}
        </Tag>
      ) : null}
    </span>
  );
}

/** State, and why in the controller's words. */
export function HealthCell({ row }: { row: PartitionRow }) {
  const why = reasonOf(row);
  return (
    <span className="fleet-health" title={why || undefined}>
      <Health state={row.state} />
      {why ? <span className="fleet-why">{why}</span> : null}
    </span>
  );
}

function reasonOf(row: PartitionRow): string {
  const { planned_outage: outage } = row;
  if (row.state === "planned_outage" && outage) {
    const until = texts.fleet.cell.until(inZone(new Date(outage.until)));
    return outage.reason ? `${outage.reason}, ${until}` : until;
  }
  const away = awayWords(row.state, row.reason ?? "");
  if (away) return away.short;
  return row.reason || (row.flags?.map((flag) => `${flag.source}: ${flag.reason}`).join("; ") ?? "");
}

export function RateCell({ row }: { row: PartitionRow }) {
  const now = rate(row.rates.minute.received);
  return (
    <span className="fleet-rate">
      <Sparkline values={row.spark ?? []} label={texts.fleet.cell.spark(now)} />
      <span className="number">{now}</span>
    </span>
  );
}

export function LagCell({ row }: { row: PartitionRow }) {
  return <>{row.lag_ms ? span(row.lag_ms) : "0"}</>;
}

/** Revision that runs, that shall run, and where it stands between them. */
export function PolicyCell({ row }: { row: PartitionRow }) {
  const t = texts.fleet.cell;
  const { policy } = row;
  const running = typeof policy.running === "number" ? String(policy.running) : t.noRevision;
  const wanted = String(policy.wanted);
  const title = [t.policyTitle(running, wanted), policy.reason].filter(Boolean).join("\n");
  return (
    <span className="fleet-pair" title={title}>
      <PolicyStanding state={policy.state} />
      <span className="muted number">{t.revision(running, wanted)}</span>
    </span>
  );
}

export function LastSeenCell({ row }: { row: PartitionRow }) {
  return <RowTime row={row} at={row.last_seen} none={texts.common.never} />;
}

export function SinceCell({ row }: { row: PartitionRow }) {
  return <RowTime row={row} at={row.since} />;
}

/** How long ago something was; on hover also on the partition's clock. */
function RowTime({ row, ...time }: { row: PartitionRow; at: string | null | undefined; none?: string }) {
  return (
    <PartitionOffset value={row.utc_offset_seconds ?? undefined}>
      <Time {...time} relative />
    </PartitionOffset>
  );
}
