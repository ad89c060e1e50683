import { ContentSwitcher, Select, SelectItem, Switch } from "@carbon/react";
import { useState } from "react";
import { RateChart } from "@/components/rate-chart";
import { EmptyState, Loaded } from "@/components/states";
import { rate, span as spanText } from "@/hooks/format";
import { texts } from "@/texts";
import { SPANS, useHistory, type Metric, type Span } from "./queries";

const METRICS = ["received", "kept", "dropped", "delivered", "lag_ms"] as const satisfies readonly Metric[];
const NAMES = Object.keys(SPANS) as Span[];

/** Rates or lag of the last hour or day, a line for each source or destination. */
export function HistoryChart({ agent }: { agent: string }) {
  const t = texts.partition.history;
  const [metric, setMetric] = useState<(typeof METRICS)[number]>("received");
  const [span, setSpan] = useState<Span>("hour");
  const query = useHistory(agent, metric, span);
  return (
    <section aria-labelledby="history">
      <div className="history-head">
        <h2 id="history">{t.title}</h2>
        <Select
          id="history-metric"
          size="sm"
          labelText={t.metric}
          hideLabel
          value={metric}
          onChange={(event) => setMetric(METRICS.find((each) => each === event.target.value) ?? "received")}
        >
          {METRICS.map((each) => (
            <SelectItem key={each} value={each} text={t.metrics[each]} />
          ))}
        </Select>
        <ContentSwitcher
          size="sm"
          aria-label={t.span}
          selectedIndex={NAMES.indexOf(span)}
          onChange={({ index }) => setSpan(NAMES[index ?? 0] ?? "hour")}
        >
          {NAMES.map((each) => (
            <Switch key={each} name={each} text={t.spans[each]} />
          ))}
        </ContentSwitcher>
      </div>
      <Loaded query={query}>
        {({ series, from, step }) =>
          series.some(({ values }) => values.some((value) => typeof value === "number")) ? (
            <RateChart
              label={t.label(t.metrics[metric], t.spans[span], series.map(({ name }) => name).join(", "))}
              from={Date.parse(from)}
              step={step * 1_000}
              series={series.map(({ name, values }) => ({
                name,
                values: values.map((value) => value ?? null),
              }))}
              axis={metric === "lag_ms" ? t.lag : t.perSecond}
              format={metric === "lag_ms" ? spanText : rate}
              height="14rem"
            />
          ) : (
            <EmptyState title={t.title}>{t.empty}</EmptyState>
          )
        }
      </Loaded>
    </section>
  );
}
