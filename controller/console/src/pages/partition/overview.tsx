import { InlineNotification } from "@carbon/react";
import { awayWords } from "@/components/away";
import { Health } from "@/components/health";
import { Time } from "@/components/time";
import { rate, span } from "@/hooks/format";
import { texts } from "@/texts";
import { Identity } from "./identity";
import type { TabUse } from "./index";
import { Outage } from "./outage";
import { useRates, type Agent } from "./queries";
import { HistoryChart } from "./history";

/** How it is, how much it does, and who it is. */
export function Overview({ agent, etag }: TabUse) {
  const t = texts.partition;
  return (
    <div className="stack">
      {agent.warnings?.map((warning) => (
        <InlineNotification
          key={warning}
          kind="warning"
          lowContrast
          hideCloseButton
          title={t.warning}
          subtitle={warning}
        />
      ))}
      <Standing agent={agent} />
      <Figures agent={agent} />
      <HistoryChart agent={agent.summary.id} />
      <Outage agent={agent} />
      <Identity agent={agent} etag={etag} />
    </div>
  );
}

/** The state with its reason whole: it says what to do. */
function Standing({ agent }: { agent: Agent }) {
  const t = texts.partition;
  const { state, since, reason, life, flags } = agent.summary;
  const told = state === "healthy" ? reason : reason || t.noReason;
  const words = awayWords(state, reason ?? "")?.long ?? told;
  if (!words && !agent.hold && !flags?.length) return null;
  return (
    <section className="standing" aria-label={t.reasonTitle}>
      <p className="row">
        <Health state={state} />
        {since ? (
          <span className="muted">
            {t.since} <Time at={since} /> (<Time at={since} relative />)
          </span>
        ) : null}
      </p>
      {words ? <p className="reason">{words}</p> : null}
      {life === "revoked" ? <p>{t.lifeRevoked}</p> : null}
      {agent.hold ? (
        <p className="muted">
          <Time at={agent.hold.since} />, {t.hold(agent.hold.by, agent.hold.reason)}
        </p>
      ) : null}
      {flags?.map((flag) => (
        <div key={`${flag.source} ${flag.kind}`}>
          <strong>{t.flags[flag.kind](flag.source)}</strong>{" "}
          <span className="muted">
            {t.since} <Time at={flag.since} relative />
          </span>
          <p className="reason">{flag.reason}</p>
        </div>
      ))}
    </section>
  );
}

function Figures({ agent }: { agent: Agent }) {
  const t = texts.partition.figures;
  const rates = useRates(agent);
  const { now, minute } = rates.window;
  return (
    <div className="tiles">
      {(["received", "kept", "dropped", "delivered"] as const).map((metric) => (
        <div key={metric} className="figure">
          <div className="label">{t[metric]}</div>
          <div className="value">{rate(now[metric])}</div>
          <div className="note">{t.minute(rate(minute[metric]))}</div>
        </div>
      ))}
      <div className="figure">
        <div className="label">{t.lag}</div>
        <div className="value">{span(rates.lag_ms)}</div>
        <div className="note">{t.lagNote}</div>
      </div>
    </div>
  );
}
