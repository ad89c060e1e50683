import { useQueryClient } from "@tanstack/react-query";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import type { Outcome } from "./publish";

const t = texts.policies.published;

/** Says what became of an order, and has everything read anew that it changed. */
export function useTold() {
  const client = useQueryClient();
  const toasts = useToasts();
  return (outcome: Outcome) => {
    for (const key of ["policies", "drafts", "proposals", "partitions", "fleet"]) {
      void client.invalidateQueries({ queryKey: [key] });
    }
    if (outcome.proposal) {
      toasts.done(t.proposed, t.proposedHelp);
      return;
    }
    const { revision, changed, agents } = outcome.done;
    const number = Number(revision.revision);
    if (!changed) toasts.done(t.same(number), t.sameHelp);
    else if (revision.removed) toasts.done(t.removed(revision.name), t.agents(agents));
    else toasts.done(t.done(revision.name, number), t.agents(agents));
  };
}
