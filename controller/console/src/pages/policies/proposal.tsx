import { Button, InlineNotification } from "@carbon/react";
import { useState } from "react";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { useProposal } from "@/api/proposals";
import { useMay, useSession } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { Page } from "@/components/page";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import type { Proposal } from "./data";
import { Back } from "./policy";
import { Proposed } from "./proposed";

const t = texts.policies.proposals;

/** What somebody wants to publish or remove, what that would do, and the decision. */
export function ProposalPage({ id }: { id: string }) {
  const proposal = useProposal(id);
  return <Loaded query={proposal}>{({ data, etag }) => <Known proposal={data} etag={etag} />}</Loaded>;
}

function Known({ proposal, etag }: { proposal: Proposal; etag: string | undefined }) {
  const { who } = useSession();
  const approver = useMay("approver");
  const operator = useMay("operator");
  const [deciding, setDeciding] = useState<"approve" | "reject">();
  const own = who?.user === proposal.proposed_by;
  const pending = proposal.state === "pending";
  const actions = pending ? (
    <>
      {approver || (operator && own) ? (
        <Button kind="tertiary" size="md" onClick={() => setDeciding("reject")}>
          {own ? t.takeBack : t.reject}
        </Button>
      ) : null}
      {approver && !own ? (
        <Button size="md" onClick={() => setDeciding("approve")}>
          {t.approve}
        </Button>
      ) : null}
    </>
  ) : null;
  return (
    <Page title={proposal.summary} tab={t.tab} lead={t.lead} above={<Back />} actions={actions}>
      <div className="stack">
        <Facts proposal={proposal} />
        {pending && !(approver && !own) ? <p>{own ? t.ownHelp : texts.common.needs("approver")}</p> : null}
        {pending ? <Proposed payload={proposal.payload} /> : <Decided proposal={proposal} />}
      </div>
      {deciding ? (
        <Decide
          proposal={proposal}
          etag={etag}
          what={deciding}
          own={own}
          close={() => setDeciding(undefined)}
        />
      ) : null}
    </Page>
  );
}

function Facts({ proposal }: { proposal: Proposal }) {
  return (
    <dl className="facts">
      <div>
        <dt>{t.state}</dt>
        <dd>{t.states[proposal.state]}</dd>
      </div>
      <div>
        <dt>{t.proposedBy}</dt>
        <dd>
          {proposal.proposed_by}, <Time at={proposal.proposed_at} />
        </dd>
      </div>
      <div>
        <dt>{t.expiresAt}</dt>
        <dd>
          <Time at={proposal.expires_at} />
        </dd>
      </div>
    </dl>
  );
}

function Decided({ proposal }: { proposal: Proposal }) {
  return (
    <InlineNotification
      kind="info"
      lowContrast
      hideCloseButton
      title={t.decided(t.states[proposal.state], proposal.decided_by ?? "")}
      subtitle={proposal.note ?? ""}
    />
  );
}

interface DecideProps {
  proposal: Proposal;
  etag: string | undefined;
  what: "approve" | "reject";
  own: boolean;
  close: () => void;
}

function Decide({ proposal, etag, what, own, close }: DecideProps) {
  const toasts = useToasts();
  const [, navigate] = useLocation();
  const run = async (note: string) => {
    const params = { path: { id: proposal.id } };
    const request = { params, headers: etag ? { "if-match": etag } : {}, body: note ? { note } : {} };
    if (what === "approve") await api.POST("/api/v1/proposals/{id}/approve", request);
    else await api.POST("/api/v1/proposals/{id}/reject", request);
    toasts.done(what === "approve" ? t.approved : t.rejected, proposal.summary);
    navigate("/policies");
  };
  const verb = what === "approve" ? t.approve : own ? t.takeBack : t.reject;
  return (
    <Confirm title={`${verb}: ${proposal.summary}`} action={verb} reason run={run} close={close}>
      <p>{what === "approve" ? t.approveHelp : t.rejectHelp}</p>
    </Confirm>
  );
}
