import { Button, InlineLoading } from "@carbon/react";
import { CheckmarkFilled } from "@carbon/icons-react";
import { useState } from "react";
import { Link } from "wouter";
import { useMay } from "@/api/session";
import { Health } from "@/components/health";
import { texts } from "@/texts";
import { Decide, type Verdict } from "./decide";
import { useAgent, useArrivals, useEnrolments, type EnrolmentView, type TokenView } from "./queries";

/** So many are told one by one: each is asked about anew whenever something happens to agents. */
const TOLD = 10;

interface Ask {
  enrolment: EnrolmentView;
  verdict: Verdict;
}

/** What comes of a token, live: who asked with it, who waits, who is in. */
export function Arrival({ token }: { token: TokenView }) {
  const t = texts.tokens;
  const arrived = useArrivals(token).data ?? [];
  const asked = (useEnrolments().data ?? []).filter(
    (one) => one.token === token.id && one.state === "waiting",
  );
  // It stays while somebody decides, whatever comes meanwhile.
  const [deciding, setDeciding] = useState<Ask>();
  return (
    <>
      <div className="arrival" role="status" data-testid="arrival">
        <h3>{t.arrival}</h3>
        {arrived.slice(0, TOLD).map((id) => (
          <Arrived key={id} id={id} />
        ))}
        {arrived.length > TOLD ? <p className="muted">{t.arrivedMore(arrived.length - TOLD)}</p> : null}
        {asked.map((one) => (
          <Asks key={one.key_sha256} enrolment={one} ask={setDeciding} />
        ))}
        {arrived.length + asked.length === 0 ? <InlineLoading description={t.arrivalWaiting} /> : null}
      </div>
      {deciding ? <Decide {...deciding} close={() => setDeciding(undefined)} /> : null}
    </>
  );
}

function Arrived({ id }: { id: string }) {
  const t = texts.tokens;
  const agent = useAgent(id).data?.summary;
  const name = agent?.name ?? id;
  return (
    <>
      <span className="state tone-good">
        <CheckmarkFilled aria-hidden="true" />
        {t.arrived(name)}
      </span>
      {agent ? <Health state={agent.state} /> : null}
      <Link href={`/partitions/${encodeURIComponent(id)}`}>{t.open(name)}</Link>
    </>
  );
}

function Asks({ enrolment, ask }: { enrolment: EnrolmentView; ask: (ask: Ask) => void }) {
  const t = texts.tokens;
  const may = useMay("approver");
  return (
    <>
      <span>{t.arrivalAsked}</span>
      <span className="fingerprint">{enrolment.fingerprint}</span>
      {may ? (
        <div className="row">
          <Button size="sm" onClick={() => ask({ enrolment, verdict: "approve" })}>
            {t.approveAction}
          </Button>
          <Button size="sm" kind="danger--ghost" onClick={() => ask({ enrolment, verdict: "deny" })}>
            {t.denyAction}
          </Button>
        </div>
      ) : (
        <span className="sub">{t.arrivalNeeds}</span>
      )}
    </>
  );
}
