import { InlineNotification } from "@carbon/react";
import { Link } from "wouter";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { useCarrying, type RevisionView } from "./data";
import { Labels } from "./labels";

const t = texts.policies.one;

/** What is known of a policy besides its text. */
export function Facts({ revision }: { revision: RevisionView }) {
  const carrying = useCarrying();
  const rollout = carrying.data?.get(revision.name);
  return (
    <>
      {revision.removed ? (
        <InlineNotification
          kind="warning"
          lowContrast
          hideCloseButton
          title={t.removed(Number(revision.revision))}
          subtitle={t.removedHelp}
        />
      ) : null}
      <dl className="facts policy-facts">
        <div>
          <dt>{t.revision}</dt>
          <dd>{revision.revision}</dd>
        </div>
        <div>
          <dt>{t.published}</dt>
          <dd>
            <Time at={revision.published_at} /> {texts.policies.list.by(revision.published_by)}
          </dd>
        </div>
        <div>
          <dt>{t.priority}</dt>
          <dd>{revision.priority}</dd>
        </div>
        <div>
          <dt>{t.selector}</dt>
          <dd>
            <Labels of={revision.selector ?? {}} />
          </dd>
        </div>
        {rollout ? (
          <div>
            <dt>{t.rollout}</dt>
            <dd>
              <Link href={`/rollouts/${String(rollout.id)}`} className="cds--link">
                {texts.policies.list.rollout(Number(rollout.id))}
              </Link>
            </dd>
          </div>
        ) : null}
      </dl>
    </>
  );
}
