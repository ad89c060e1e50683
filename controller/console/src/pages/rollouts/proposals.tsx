import { Button } from "@carbon/react";
import { useState } from "react";
import { usePending, useProposal } from "@/api/proposals";
import { useMay, useSession } from "@/api/session";
import type { ProposalView, RolloutRequest } from "@/api/schema";
import { Confirm } from "@/components/confirm";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { useDecision, usePlan } from "./data";
import { PlanView } from "./plan-view";
import { Settings } from "./settings";

const t = texts.rollouts.proposals;

/** Rollouts that somebody proposed and a second person must approve; nothing where there are none. */
export function Proposals() {
  const { data } = usePending("rollout_start");
  if (!data?.length) return null;
  return (
    <section aria-labelledby="proposals" className="rollout-proposals">
      <h2 id="proposals">{t.title}</h2>
      {data.map((proposal) => (
        <Proposal key={proposal.id} proposal={proposal} />
      ))}
    </section>
  );
}

function Proposal({ proposal }: { proposal: ProposalView }) {
  const [open, setOpen] = useState(false);
  const { id, summary, proposed_by, proposed_at, expires_at } = proposal;
  return (
    <article className="rollout-proposal" aria-label={summary}>
      <div className="rollout-proposal-head">
        <div>
          <p className="rollout-strong">{summary}</p>
          <p className="muted">
            {t.by(proposed_by)} <Time at={proposed_at} relative />, {t.expires} <Time at={expires_at} />
          </p>
        </div>
        <div className="row">
          <Button kind="ghost" size="sm" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? t.hide : t.show}
          </Button>
          <Decide proposal={proposal} />
        </div>
      </div>
      {open ? <Content id={id} /> : null}
    </article>
  );
}

function Decide({ proposal }: { proposal: ProposalView }) {
  const { who } = useSession();
  const operator = useMay("operator");
  const approver = useMay("approver");
  const decision = useDecision(proposal.id);
  const [asking, setAsking] = useState<"approve" | "reject">();
  const own = who?.user === proposal.proposed_by;
  if (!operator) return null;
  const why = own ? t.own : approver ? undefined : texts.common.needs("approver");
  return (
    <>
      {approver || own ? (
        <Button kind="tertiary" size="sm" onClick={() => setAsking("reject")}>
          {own ? t.takeBack : t.reject}
        </Button>
      ) : null}
      {why ? (
        <span className="muted">{why}</span>
      ) : (
        <Button size="sm" onClick={() => setAsking("approve")}>
          {t.approve}
        </Button>
      )}
      {asking ? (
        <Confirm
          title={asking === "approve" ? t.approveTitle : t.rejectTitle}
          action={asking === "approve" ? t.approve : own ? t.takeBack : t.reject}
          danger={asking === "reject"}
          reason
          run={(note) => decision.mutateAsync({ approve: asking === "approve", note })}
          close={() => setAsking(undefined)}
        >
          <p>{proposal.summary}</p>
          {asking === "approve" ? <p>{t.approveHelp}</p> : null}
        </Confirm>
      ) : null}
    </>
  );
}

/** What it would do as things stand now, and how. */
function Content({ id }: { id: string }) {
  const query = useProposal(id);
  return <Loaded query={query}>{({ data }) => <Planned request={requestOf(data.payload)} />}</Loaded>;
}

function Planned({ request }: { request: RolloutRequest | undefined }) {
  const plan = usePlan(request);
  if (!request) return <p>{t.unreadable}</p>;
  return (
    <div className="stack">
      <Loaded query={plan}>{(data) => <PlanView plan={data} />}</Loaded>
      {request.strategy ? <Settings strategy={request.strategy} labels={request.labels ?? {}} /> : null}
    </div>
  );
}

/** The payload of a proposal of this kind is the request that was made. */
function requestOf(payload: unknown): RolloutRequest | undefined {
  return typeof payload === "object" && payload !== null ? (payload as RolloutRequest) : undefined;
}
