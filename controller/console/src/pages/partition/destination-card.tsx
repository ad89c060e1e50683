import type { components } from "@/api/schema";
import { bytes, rate, span } from "@/hooks/format";
import { texts } from "@/texts";
import { Card, Counters, RateTable, trouble } from "./card";

/** A destination with its pace, its lag and its troubles. */
export function DestinationCard(props: {
  name: string;
  component: components["schemas"]["ComponentView"] | undefined;
  rates: components["schemas"]["DestinationRates"] | undefined;
}) {
  const t = texts.partition.sources;
  const { name, component, rates } = props;
  const counters = rates?.counters;
  return (
    <Card name={name} component={component}>
      {rates ? (
        <div className="part-body">
          <RateTable
            label={name}
            rows={[
              {
                name: t.delivered,
                now: rate(rates.delivered_now),
                minute: rate(rates.delivered_minute),
                hour: rate(rates.delivered_hour ?? 0),
                total: rates.delivered,
              },
            ]}
          />
          <Counters
            counters={[
              { name: t.lag, value: span(rates.lag_ms) },
              { name: t.queue, value: bytes(counters?.queue_bytes ?? 0) },
              { name: t.bytes, value: bytes(counters?.bytes ?? 0) },
              trouble(t.replayed, counters?.replayed ?? 0, t.hints.replayed),
              trouble(t.reconnects, counters?.reconnects ?? 0, t.hints.reconnects),
              trouble(t.truncated, counters?.truncated ?? 0, t.hints.truncated),
              trouble(t.lostDatagrams, counters?.lost_datagrams ?? 0, t.hints.lostDatagrams),
            ]}
          />
        </div>
      ) : (
        <p className="muted">{t.unreported}</p>
      )}
    </Card>
  );
}
