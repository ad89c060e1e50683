import { useMay } from "@/api/session";
import { EventTail } from "@/components/event-tail";
import { EmptyState } from "@/components/states";
import { texts } from "@/texts";
import type { Agent } from "./queries";

/** The events of this partition: those that it has in memory, then those that come. */
export function Events({ agent }: { agent: Agent }) {
  const t = texts.partition.events;
  const may = useMay("operator");
  const { id, connection } = agent.summary;
  if (!may) return <EmptyState title={t.needs}>{texts.common.needs("operator")}</EmptyState>;
  if (connection !== "connected") return <EmptyState title={t.away}>{t.awayHelp}</EmptyState>;
  return <EventTail agent={id} />;
}
