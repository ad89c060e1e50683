import type { components } from "@/api/schema";
import { Time } from "@/components/time";
import { bytes, rate, span } from "@/hooks/format";
import { texts } from "@/texts";
import { Card, Counters, RateTable, trouble } from "./card";

type Rates = components["schemas"]["SourceRates"];
type Flag = components["schemas"]["SourceFlag"];

/** A source with its rates, its counters and what rules did to its events. */
export function SourceCard(props: {
  name: string;
  component: components["schemas"]["ComponentView"] | undefined;
  rates: Rates | undefined;
  flags: readonly Flag[];
}) {
  const t = texts.partition;
  const { name, component, rates, flags } = props;
  return (
    <Card name={name} component={component}>
      {flags.map((flag) => (
        <p key={flag.kind} className="reason">
          <strong>{t.flags[flag.kind](name)}</strong> {flag.reason}
        </p>
      ))}
      {rates ? <Counted name={name} rates={rates} /> : <p className="muted">{t.sources.unreported}</p>}
    </Card>
  );
}

function Counted({ name, rates }: { name: string; rates: Rates }) {
  const t = texts.partition.sources;
  const { window, counters, lag_ms } = rates;
  const row = (metric: "received" | "kept" | "dropped") => ({
    name: t[metric],
    now: rate(window.now[metric]),
    minute: rate(window.minute[metric]),
    hour: rate(window.hour?.[metric] ?? 0),
    total: window.total[metric],
  });
  return (
    <div className="part-body">
      <RateTable label={name} rows={[row("received"), row("kept"), row("dropped")]} />
      <Counters
        counters={[
          { name: t.lag, value: span(lag_ms) },
          { name: t.lastEvent, value: <Time at={counters?.last_event} relative /> },
          { name: t.bytes, value: bytes(counters?.bytes ?? 0) },
          trouble(t.unknownTypes, counters?.unknown_types ?? 0, t.hints.unknownTypes),
          trouble(t.shortEntries, counters?.short_entries ?? 0, t.hints.shortEntries),
          trouble(t.badRows, counters?.bad_rows ?? 0, t.hints.badRows),
        ]}
      />
      <Rules rates={rates} />
    </div>
  );
}

/** What each rule of the policy did, the busiest first. */
function Rules({ rates }: { rates: Rates }) {
  const t = texts.partition.sources;
  const of = (effect: string, counts: Record<string, number> | undefined) =>
    Object.entries(counts ?? {}).map(([rule, events]) => ({ rule, effect, events }));
  const rows = [
    ...of(t.effects.dropped, rates.dropped_by_rule),
    ...of(t.effects.throttled, rates.throttled_by_rule),
    ...of(t.effects.kept, rates.kept_by_rule),
    ...of(t.effects.fault, rates.expression_faults),
  ].sort((a, b) => b.events - a.events);
  if (!rows.length) return null;
  return (
    <table className="small-table" aria-label={t.rules}>
      <thead>
        <tr>
          <th scope="col">{t.rule}</th>
          <th scope="col">{t.effect}</th>
          <th scope="col" className="number">
            {t.events}
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ rule, effect, events }) => (
          <tr key={`${rule} ${effect}`}>
            <th scope="row">{rule}</th>
            <td>{effect}</td>
            <td className="number">{events.toLocaleString()}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
