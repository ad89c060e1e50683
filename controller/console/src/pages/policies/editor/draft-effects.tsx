import { Button } from "@carbon/react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Loaded } from "@/components/states";
import { texts } from "@/texts";
import { preview } from "../data";
import { Effects } from "../effects";

const t = texts.policies.effects;

/** What publishing the text as it stands would mean; partitions are asked about their events only if that is wanted. */
export function DraftEffects({ text }: { text: string }) {
  const [events, setEvents] = useState(false);
  const effects = useQuery({
    queryKey: ["policies", "preview", text, events],
    queryFn: () => preview({ documents: [{ text }], events }),
    // Asking partitions stands in the audit log: not again with everything that happens in the fleet.
    staleTime: Infinity,
    refetchOnMount: "always",
    enabled: (query) => !events || query.state.data === undefined,
  });
  return (
    <section aria-label={t.title} className="stack">
      <p className="muted">{t.lead}</p>
      <div>
        <Button
          kind="tertiary"
          size="sm"
          disabled={effects.isFetching}
          onClick={() => (events ? void effects.refetch() : setEvents(true))}
        >
          {events && effects.isFetching ? t.asking : t.ask}
        </Button>
        <p className="muted policy-keys">{t.askHelp}</p>
      </div>
      <Loaded query={effects}>{(data) => <Effects of={data} />}</Loaded>
    </section>
  );
}
