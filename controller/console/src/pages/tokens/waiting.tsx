import { Button } from "@carbon/react";
import { CheckmarkFilled, ErrorFilled, Pending, type CarbonIconType } from "@carbon/icons-react";
import { useState } from "react";
import { useMay } from "@/api/session";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { Listing, type Column } from "@/pages/admin/listing";
import { texts } from "@/texts";
import { Decide, type Verdict } from "./decide";
import { useEnrolments, type EnrolmentView } from "./queries";

const ICONS: Record<EnrolmentView["state"], { icon: CarbonIconType; tone: string }> = {
  waiting: { icon: Pending, tone: "warn" },
  approved: { icon: CheckmarkFilled, tone: "good" },
  denied: { icon: ErrorFilled, tone: "bad" },
};

function State({ enrolment }: { enrolment: EnrolmentView }) {
  const t = texts.tokens.waiting;
  const { icon: Icon, tone } = ICONS[enrolment.state];
  return (
    <>
      <span className={`state tone-${tone}`}>
        <Icon aria-hidden="true" />
        {t.states[enrolment.state]}
      </span>
      {enrolment.decided_by ? (
        <div className="sub">
          {t.by(enrolment.decided_by)} <Time at={enrolment.decided_at} relative />
        </div>
      ) : null}
      {enrolment.note ? <div className="sub">{enrolment.note}</div> : null}
    </>
  );
}

type Ask = { enrolment: EnrolmentView; verdict: Verdict };

function columns(may: boolean, ask: (ask: Ask) => void): Column<EnrolmentView>[] {
  const t = texts.tokens;
  return [
    {
      name: t.waiting.agent,
      cell: (one) => (
        <>
          <div>{one.name}</div>
          <div className="sub">{one.partition ?? t.waiting.noPartition}</div>
        </>
      ),
    },
    { name: t.waiting.fingerprint, cell: (one) => <div className="fingerprint">{one.fingerprint}</div> },
    { name: t.waiting.reasons, cell: (one) => one.reasons.map((reason) => <div key={reason}>{reason}</div>) },
    {
      name: t.waiting.asked,
      cell: (one) => (
        <>
          <div>
            <Time at={one.since} relative />
          </div>
          <div className="sub">
            {one.from}, {t.waiting.lastAsked} <Time at={one.last_asked} relative />
          </div>
        </>
      ),
    },
    { name: t.waiting.state, cell: (one) => <State enrolment={one} /> },
    {
      name: t.waiting.actions,
      kind: "actions",
      cell: (one) =>
        one.state !== "waiting" ? null : may ? (
          <>
            <Button size="sm" kind="tertiary" onClick={() => ask({ enrolment: one, verdict: "approve" })}>
              {t.approveAction}
            </Button>
            <Button size="sm" kind="danger--ghost" onClick={() => ask({ enrolment: one, verdict: "deny" })}>
              {t.denyAction}
            </Button>
          </>
        ) : (
          <span className="sub">{texts.common.needs("approver")}</span>
        ),
    },
  ];
}

/** Enrolments that a person has to look at. */
export function WaitingTab() {
  const t = texts.tokens;
  const may = useMay("approver");
  const query = useEnrolments();
  const [asked, setAsked] = useState<Ask>();
  return (
    <>
      <Loaded query={query}>
        {(found) =>
          found.length === 0 ? (
            <EmptyState title={t.waitingEmptyTitle}>{t.waitingEmptyHelp}</EmptyState>
          ) : (
            <>
              <div className="toolbar">
                <p>{t.waitingLead}</p>
              </div>
              <Listing
                label={t.tabs.waiting(0)}
                columns={columns(may, setAsked)}
                rows={found}
                rowKey={(one) => one.key_sha256}
              />
            </>
          )
        }
      </Loaded>
      {asked ? <Decide {...asked} close={() => setAsked(undefined)} /> : null}
    </>
  );
}
