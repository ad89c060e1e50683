import { Accordion, AccordionItem } from "@carbon/react";
import { Link } from "wouter";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import { Changes } from "./changes";
import type { Preview } from "./data";
import { EventEffects } from "./event-effects";
import { Notice } from "./notice";

const t = texts.policies.effects;
type Group = Preview["groups"][number];

/** What publishing would mean for the partitions: which change, how, and which would refuse it. */
export function Effects({ of }: { of: Preview }) {
  const faults = [...(of.plan.faults ?? []), ...of.plan.policies.flatMap((policy) => policy.faults ?? [])];
  const warnings = [
    ...(of.plan.warnings ?? []),
    ...of.plan.policies.flatMap((policy) => policy.warnings ?? []),
  ];
  return (
    <div className="stack">
      {faults.map((fault) => (
        <Notice
          key={`${fault.path ?? ""}${fault.message}`}
          kind="error"
          title={t.fault}
          text={placed(fault)}
        />
      ))}
      {warnings.map((fault) => (
        <Notice
          key={`${fault.path ?? ""}${fault.message}`}
          kind="warning"
          title={t.warning}
          text={placed(fault)}
        />
      ))}
      {of.plan.valid ? (
        <p>
          <strong>{t.changed(count(of.changed), of.changed)}</strong>{" "}
          {t.unchanged(count(of.unchanged), of.unchanged)}
        </p>
      ) : null}
      {of.groups.map((group) => (
        <GroupEffects key={(group.ids ?? group.agents).join()} group={group} />
      ))}
    </div>
  );
}

function placed({ path, message }: { path?: string | undefined; message: string }): string {
  return path ? `${path}: ${message}` : message;
}

/** Partitions that change in the same way. */
function GroupEffects({ group }: { group: Group }) {
  const title = t.group(count(group.count), group.count);
  return (
    <section className="effect">
      <h3>{title}</h3>
      <Names agents={group.agents} ids={group.ids ?? []} more={group.count - group.agents.length} />
      <p className="muted">
        {t.documents(group.documents.join(", ") || texts.common.none)} {t.bytes(count(group.bytes))}
      </p>
      {(group.narrows ?? []).length > 0 ? (
        <Notice kind="warning" title={t.narrows}>
          <ul className="reasons">
            {(group.narrows ?? []).map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </Notice>
      ) : null}
      {(group.refusals ?? []).map((refusal) => (
        <Notice
          key={refusal.reason}
          kind="error"
          title={t.refuse(count(refusal.count), refusal.agents.join(", "))}
          text={refusal.reason}
        />
      ))}
      {(group.events ?? []).map((events) => (
        <EventEffects key={events.agent} of={events} />
      ))}
      <Accordion align="start" size="sm">
        <AccordionItem title={t.changes(group.changes.length)}>
          <Changes of={group.changes} label={title} />
        </AccordionItem>
      </Accordion>
    </section>
  );
}

/** Names that lead to their partitions; by id where it is told, since the agents of one partition share a name. */
function Names(props: { agents: readonly string[]; ids?: readonly string[]; more: number }) {
  const { agents, ids = [], more } = props;
  return (
    <p className="names">
      {agents.map((agent, at) => (
        <Link
          key={ids[at] ?? agent}
          href={`/partitions/${encodeURIComponent(ids[at] ?? agent)}`}
          className="cds--link"
        >
          {agent}
        </Link>
      ))}
      {more > 0 ? <span>{t.andMore(count(more))}</span> : null}
    </p>
  );
}
