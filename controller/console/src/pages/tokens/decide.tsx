import { useQueryClient } from "@tanstack/react-query";
import { api } from "@/api/client";
import { Confirm } from "@/components/confirm";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import type { EnrolmentView } from "./queries";
import "./tokens.scss";

/** What an approver can say. */
export type Verdict = "approve" | "deny";

/** Lets an agent in or turns it away, with its fingerprint before the eyes. */
export function Decide(props: { enrolment: EnrolmentView; verdict: Verdict; close: () => void }) {
  const t = texts.tokens;
  const { name, key_sha256: key, fingerprint } = props.enrolment;
  const client = useQueryClient();
  const toasts = useToasts();
  const approve = props.verdict === "approve";
  const run = async (reason: string) => {
    const options = { params: { path: { key } }, body: { reason } };
    if (approve) {
      await api.POST("/api/v1/enrolments/{key}/approve", options);
      toasts.done(t.approved(name));
    } else {
      await api.POST("/api/v1/enrolments/{key}/deny", options);
      toasts.done(t.denied(name));
    }
    await client.invalidateQueries({ queryKey: ["enrolments"] });
  };
  return (
    <Confirm
      title={approve ? t.approveTitle(name) : t.denyTitle(name)}
      action={approve ? t.approveAction : t.denyAction}
      danger={!approve}
      reason
      run={run}
      close={props.close}
    >
      <p>{approve ? t.approveAsk : t.denyAsk}</p>
      <p className="fingerprint">{fingerprint}</p>
    </Confirm>
  );
}
