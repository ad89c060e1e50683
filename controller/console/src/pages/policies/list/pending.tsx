import { Button } from "@carbon/react";
import { useLocation } from "wouter";
import { usePending } from "@/api/proposals";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import type { Proposal } from "../data";
import { Notice } from "../notice";

const t = texts.policies.proposals;

/** What waits for a second person, above the list: it must not be overlooked. */
export function Pending() {
  const { data } = usePending("policy_publish");
  if (!data || data.length === 0) return null;
  return (
    <section aria-labelledby="pending" className="pending">
      <h2 id="pending">{t.title(data.length)}</h2>
      <ul>
        {data.map((proposal) => (
          <Waiting key={proposal.id} proposal={proposal} />
        ))}
      </ul>
    </section>
  );
}

function Waiting({ proposal }: { proposal: Proposal }) {
  const [, navigate] = useLocation();
  return (
    <li className="pending-item">
      <Notice kind="info" title={proposal.summary} text={t.by(proposal.proposed_by)}>
        <div className="row">
          <span>
            {t.proposed} <Time at={proposal.proposed_at} relative />, {t.expires}{" "}
            <Time at={proposal.expires_at} relative />
          </span>
          <Button kind="ghost" size="sm" onClick={() => navigate(`/policies/-/proposals/${proposal.id}`)}>
            {t.look}
          </Button>
        </div>
      </Notice>
    </li>
  );
}
