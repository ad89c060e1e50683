import { useMay } from "@/api/session";
import { EventTail } from "@/components/event-tail";
import { Page } from "@/components/page";
import { EmptyState } from "@/components/states";
import { texts } from "@/texts";

/** The stream of events of the fleet. */
export default function Live() {
  const may = useMay("operator");
  const t = texts.live;
  return (
    <Page title={t.title} lead={t.lead}>
      {may ? <EventTail /> : <EmptyState title={t.needsTitle}>{texts.common.needs("operator")}</EmptyState>}
    </Page>
  );
}
