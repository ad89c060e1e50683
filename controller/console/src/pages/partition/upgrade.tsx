import { ProgressBar } from "@carbon/react";
import { Link } from "wouter";
import type { components } from "@/api/schema";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { Pin } from "./pin";
import type { Agent } from "./queries";

/** Its way to the version that it shall run, and whether it is pinned. */
export function Upgrade({ agent }: { agent: Agent }) {
  const t = texts.partition.upgrade;
  const { upgrade, version } = agent.summary;
  return (
    <section aria-labelledby="upgrade">
      <h2 id="upgrade">{t.title}</h2>
      {upgrade ? <Way upgrade={upgrade} /> : <p>{t.none(version ?? "")}</p>}
      <Pin agent={agent} />
    </section>
  );
}

function Way({ upgrade }: { upgrade: components["schemas"]["UpgradeView"] }) {
  const t = texts.partition.upgrade;
  const { percent } = upgrade;
  return (
    <>
      <dl className="facts">
        <div>
          <dt>{t.target}</dt>
          <dd>{upgrade.target}</dd>
        </div>
        <div>
          <dt>{t.version}</dt>
          <dd>{upgrade.version}</dd>
        </div>
        <div>
          <dt>{t.step}</dt>
          <dd>
            {t.steps[upgrade.step]}
            {upgrade.since ? (
              <span className="muted">
                {" "}
                {texts.partition.since} <Time at={upgrade.since} relative />
              </span>
            ) : null}
          </dd>
        </div>
        <div>
          <dt>{t.by}</dt>
          <dd>
            <Link className="cds--link" href={`/rollouts/${String(upgrade.rollout)}`}>
              {t.rollout(upgrade.rollout)}
            </Link>
          </dd>
        </div>
        {upgrade.deadline ? (
          <div>
            <dt>{t.deadline}</dt>
            <dd>
              <Time at={upgrade.deadline} /> {upgrade.overdue ? <strong>{t.overdue}</strong> : null}
            </dd>
          </div>
        ) : null}
      </dl>
      {typeof percent === "number" ? (
        <ProgressBar size="small" label={t.percent(percent)} value={percent} />
      ) : null}
      {upgrade.reason ? <p className="reason">{upgrade.reason}</p> : null}
    </>
  );
}
