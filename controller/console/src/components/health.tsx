import {
  CheckmarkFilled,
  CircleDash,
  ErrorFilled,
  Locked,
  Pause,
  Renew,
  UnknownFilled,
  WarningFilled,
} from "@carbon/icons-react";
import type { components } from "@/api/schema";
import { texts } from "@/texts";

/** The one state that is shown of an agent. */
export type AgentState = components["schemas"]["AgentState"];
type PolicyState = components["schemas"]["PolicyState"];

const ICONS: Record<AgentState, { icon: typeof CheckmarkFilled; tone: string }> = {
  healthy: { icon: CheckmarkFilled, tone: "good" },
  degraded: { icon: WarningFilled, tone: "warn" },
  failed: { icon: ErrorFilled, tone: "bad" },
  reconnecting: { icon: Renew, tone: "warn" },
  offline: { icon: ErrorFilled, tone: "bad" },
  planned_outage: { icon: Pause, tone: "calm" },
  quarantined: { icon: Locked, tone: "bad" },
  never_connected: { icon: CircleDash, tone: "calm" },
};

/** A state by icon and word: colour alone tells nothing. */
export function Health({ state }: { state: AgentState }) {
  const { icon: Icon, tone } = ICONS[state];
  return (
    <span className={`state tone-${tone}`}>
      <Icon aria-hidden="true" />
      {texts.common.state[state]}
    </span>
  );
}

/** Whether a source or a destination works, with its own word for its state. */
export function Works({ healthy, word }: { healthy: boolean; word: string }) {
  const Icon = healthy ? CheckmarkFilled : ErrorFilled;
  return (
    <span className={`state tone-${healthy ? "good" : "bad"}`}>
      <Icon aria-hidden="true" />
      {word}
    </span>
  );
}

const POLICY: Record<PolicyState, { icon: typeof CheckmarkFilled; tone: string }> = {
  waiting: { icon: CircleDash, tone: "calm" },
  applying: { icon: Renew, tone: "calm" },
  applied: { icon: CheckmarkFilled, tone: "good" },
  failed: { icon: UnknownFilled, tone: "bad" },
};

/** Where a partition stands with its policy. */
export function PolicyStanding({ state }: { state: PolicyState }) {
  const { icon: Icon, tone } = POLICY[state];
  return (
    <span className={`state tone-${tone}`}>
      <Icon aria-hidden="true" />
      {texts.common.policyState[state]}
    </span>
  );
}
