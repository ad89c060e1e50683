import { Button, Tag } from "@carbon/react";
import { Edit } from "@carbon/icons-react";
import { useState, type ReactNode } from "react";
import { useMay } from "@/api/session";
import { Time } from "@/components/time";
import { span } from "@/hooks/format";
import { texts } from "@/texts";
import type { TabUse } from "./index";
import { LabelEditor } from "./labels";
import type { Agent } from "./queries";

/** Who the partition is, by what its agent tells and what was decided here. */
export function Identity({ agent, etag }: TabUse) {
  const t = texts.partition.identity;
  return (
    <section aria-labelledby="identity">
      <h2 id="identity">{t.title}</h2>
      <Labels agent={agent} etag={etag} />
      <dl className="facts">
        {facts(agent).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value || texts.common.unknown}</dd>
          </div>
        ))}
      </dl>
      <More agent={agent} />
    </section>
  );
}

function facts({ summary, attributes = {}, ...agent }: Agent): readonly (readonly [string, ReactNode])[] {
  const t = texts.partition.identity;
  return [
    [t.name, summary.name],
    [t.partition, agent.partition],
    [t.serial, attributes["ibmi.serial_number"]],
    [t.lpar, attributes["ibmi.partition_id"]],
    [t.host, attributes["host.name"]],
    [t.release, summary.os_release],
    [t.version, summary.version],
    [t.platform, attributes["muster.platform"]],
    [t.kind, summary.kind === "foreign" ? texts.partition.notMuster : t.muster],
    [
      t.id,
      <span className="mono" key="id">
        {summary.id}
      </span>,
    ],
    [t.enrolled, <Time at={agent.enrolled_at} key="enrolled" />],
    [t.lastSeen, <Time at={summary.last_seen} key="seen" none={texts.common.never} />],
    [t.reported, <Time at={agent.rate_detail.reported_at} key="reported" none={texts.common.never} />],
    [t.skew, skew(agent.clock_skew_ms)],
    [t.secrets, agent.secrets?.join(", ") || texts.common.none],
  ];
}

function skew(ms: number | null | undefined): string | undefined {
  const t = texts.partition.identity;
  if (ms === null || ms === undefined) return undefined;
  if (Math.abs(ms) < 100) return t.skewExact;
  return ms > 0 ? t.skewAhead(span(ms)) : t.skewBehind(span(ms));
}

function Labels({ agent, etag }: TabUse) {
  const t = texts.partition;
  const may = useMay("operator");
  const [editing, setEditing] = useState(false);
  const labels = Object.entries(agent.summary.labels ?? {});
  return (
    <div className="row labels">
      <span className="muted">{t.identity.labels}</span>
      {labels.length ? null : t.identity.noLabels}
      {labels.map(([key, value]) => (
        <Tag key={key} type="cool-gray" size="md">{`${key}=${value}`}</Tag>
      ))}
      {may ? (
        <Button kind="ghost" size="sm" renderIcon={Edit} onClick={() => setEditing(true)}>
          {t.labels.edit}
        </Button>
      ) : null}
      {editing ? <LabelEditor agent={agent} etag={etag} close={() => setEditing(false)} /> : null}
    </div>
  );
}

/** All attributes, and the limits of the local configuration, for who needs them. */
function More({ agent }: { agent: Agent }) {
  const t = texts.partition.identity;
  return (
    <details className="more">
      <summary>{t.more}</summary>
      <dl className="facts">
        {Object.entries(agent.attributes ?? {}).map(([key, value]) => (
          <div key={key}>
            <dt className="mono">{key}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {agent.limits ? (
        <>
          <p>{t.limitsHelp}</p>
          <pre className="pre">{JSON.stringify(agent.limits, null, 2)}</pre>
        </>
      ) : null}
    </details>
  );
}
