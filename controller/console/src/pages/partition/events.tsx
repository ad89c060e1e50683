import { InlineNotification } from "@carbon/react";
import { useState } from "react";
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
  const away = connection !== "connected";
  // What was read before it went away is not thrown away.
  const [began, setBegan] = useState(!away);
  if (!away && !began) setBegan(true);
  if (!may) return <EmptyState title={t.needs}>{texts.common.needs("operator")}</EmptyState>;
  if (!began) return <EmptyState title={t.away}>{t.awayHelp}</EmptyState>;
  return (
    <>
      {away ? (
        <InlineNotification kind="warning" lowContrast hideCloseButton title={t.away} subtitle={t.awayNow} />
      ) : null}
      <EventTail agent={id} away={away} />
    </>
  );
}
