import { Button, IconButton } from "@carbon/react";
import { Close, FilterEdit, FilterRemove } from "@carbon/icons-react";
import { useEffect, useRef } from "react";
import { Link } from "wouter";
import { CopyButton } from "@/components/copy";
import { ErrorState, LoadingState } from "@/components/states";
import { texts } from "@/texts";
import { Forms } from "./forms";
import { Verdict } from "./grid";
import { EventTime } from "./line";
import { useOneEvent } from "./one";
import { Severity } from "./severity";
import type { EventView, TailEvent } from "./store";
import { term } from "./terms";

interface DetailUse {
  agent: string;
  id: string;
  /** The event, if it is among those shown. */
  row: TailEvent | undefined;
  close: () => void;
  narrow: (term: string) => void;
}

/** One event beside the list: all fields, its raw form, and what each SIEM gets. */
export function EventDetail({ agent, id, row, close, narrow }: DetailUse) {
  const t = texts.live.event;
  const one = useOneEvent(agent, id);
  // In full its values are uncut.
  const event = one.data?.event ?? row?.event;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), [agent, id]);
  return (
    <aside
      className="event-detail"
      aria-labelledby="event-heading"
      onKeyDown={(key) => {
        if (key.key === "Escape") close();
      }}
    >
      <div className="event-detail-head">
        <h2 id="event-heading" ref={heading} tabIndex={-1}>
          {event ? t.heading(event.event, event.name) : id}
        </h2>
        <IconButton kind="ghost" size="sm" label={t.close} align="left" onClick={close}>
          <Close />
        </IconButton>
      </div>
      {event ? (
        <>
          <Facts event={event} agent={agent} name={row?.agentName ?? event.system ?? agent} />
          <Fields event={event} narrow={narrow} />
        </>
      ) : one.isPending ? (
        <LoadingState />
      ) : (
        <p>{t.gone}</p>
      )}
      {one.data ? <Forms full={one.data} /> : null}
      {one.error ? <ErrorState error={one.error} retry={() => void one.refetch()} /> : null}
      {event && one.isPending ? <LoadingState /> : null}
    </aside>
  );
}

function Facts({ event, agent, name }: { event: EventView; agent: string; name: string }) {
  const t = texts.live.event;
  const f = t.facts;
  const changed = typeof event.decoded_severity === "number" && event.decoded_severity !== event.severity;
  return (
    <dl className="event-facts">
      <dt>{f.time}</dt>
      <dd>
        <EventTime event={event} full />
      </dd>
      <dt>{f.system}</dt>
      <dd>
        <Link className="cds--link" href={`/partitions/${agent}`}>
          {name}
        </Link>
      </dd>
      <dt>{f.source}</dt>
      <dd>{event.source_kind ? `${event.source} (${event.source_kind})` : event.source}</dd>
      <dt>{f.severity}</dt>
      <dd>
        <Severity value={event.severity} />
        {changed ? <span className="muted"> {t.before(event.decoded_severity ?? 0)}</span> : null}
      </dd>
      <dt>{f.verdict}</dt>
      <dd>
        <Verdict rule={event.dropped_by} />
      </dd>
      <dt>{f.destinations}</dt>
      <dd>{event.destinations?.join(", ") || t.nowhere}</dd>
      <dt>{f.id}</dt>
      <dd className="mono">{event.id}</dd>
    </dl>
  );
}

function Fields({ event, narrow }: { event: EventView; narrow: (term: string) => void }) {
  const t = texts.live.event;
  return (
    <>
      <div className="event-section">
        <h3>{t.fields}</h3>
        <CopyButton align="left" label={t.copyJson} text={JSON.stringify(event, null, 2)} />
      </div>
      <table className="event-fields">
        <thead>
          <tr>
            <th scope="col">{t.field}</th>
            <th scope="col">{t.value}</th>
            <th scope="col">{t.narrow}</th>
          </tr>
        </thead>
        <tbody>
          {Object.entries(event.fields ?? {}).map(([field, value]) => (
            <tr key={field}>
              <th scope="row" className="mono">
                {field}
              </th>
              <td className="mono">{value}</td>
              <td className="event-narrow">
                <Narrow
                  label={t.only(field, value)}
                  icon={FilterEdit}
                  run={() => narrow(term(field, "=", value, true))}
                />
                <Narrow
                  label={t.not(field, value)}
                  icon={FilterRemove}
                  run={() => narrow(term(field, "!=", value, true))}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Narrow(props: { label: string; icon: typeof FilterEdit; run: () => void }) {
  return (
    <Button
      kind="ghost"
      size="xs"
      hasIconOnly
      renderIcon={props.icon}
      iconDescription={props.label}
      tooltipPosition="left"
      onClick={props.run}
    />
  );
}
