import type { AgentState } from "@/api/schema";
import { texts } from "@/texts";

/** Why a partition that says nothing is in its state, in a word and at length; absent where its agent itself tells why. */
export function awayWords(state: AgentState, reason: string): { short: string; long: string } | undefined {
  if (state !== "offline" && state !== "reconnecting" && state !== "never_connected") return undefined;
  const { short, long } = texts.common.away[state];
  if (!reason) return { short, long };
  const last = texts.common.lastWords(reason);
  return { short: `${short}; ${last}`, long: `${long} ${last}` };
}
