import { useQueryClient } from "@tanstack/react-query";
import { api } from "@/api/client";
import { Confirm } from "@/components/confirm";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import { Decommission } from "./decommission";
import { Diagnostics } from "./diagnostics";
import type { Agent } from "./queries";

/** An action on a partition. */
export type ActionName = "diagnostics" | "restart" | "quarantine" | "release" | "revoke" | "decommission";
type Asked = Exclude<ActionName, "diagnostics" | "decommission">;

/** Whether it is dangerous, asks for a reason, and what it does. */
const ASKED: Record<
  Asked,
  { danger?: boolean; reason?: boolean; run: (agent: string, reason: string) => Promise<unknown> }
> = {
  restart: { run: (agent) => api.POST("/api/v1/agents/{agent}/restart", { params: { path: { agent } } }) },
  quarantine: {
    danger: true,
    reason: true,
    run: (agent, reason) =>
      api.POST("/api/v1/agents/{agent}/quarantine", { params: { path: { agent } }, body: { reason } }),
  },
  release: {
    reason: true,
    run: (agent, reason) =>
      api.POST("/api/v1/agents/{agent}/release", { params: { path: { agent } }, body: { reason } }),
  },
  revoke: {
    danger: true,
    reason: true,
    run: (agent, reason) =>
      api.POST("/api/v1/agents/{agent}/revoke", { params: { path: { agent } }, body: { reason } }),
  },
};

/** Asks, and does it. */
export function ActionDialog(props: { name: ActionName; agent: Agent; close: () => void }) {
  const { name, agent, close } = props;
  const client = useQueryClient();
  const toasts = useToasts();
  if (name === "diagnostics") return <Diagnostics agent={agent} close={close} />;
  if (name === "decommission") return <Decommission agent={agent} close={close} />;
  const t = texts.partition[name];
  const { danger = false, reason = false, run } = ASKED[name];
  return (
    <Confirm
      title={t.title(agent.summary.name)}
      action={texts.partition.actions[name]}
      danger={danger}
      reason={reason}
      close={close}
      run={async (why) => {
        await run(agent.summary.id, why);
        toasts.done(t.done);
        await client.invalidateQueries({ queryKey: ["agents"] });
      }}
    >
      <p>{t.help}</p>
    </Confirm>
  );
}
