import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { Loaded, LoadingState } from "@/components/states";
import { texts } from "@/texts";
import { currentQuery, EFFECTS_MS, inForce, preview, usePolicies, useWithout, type Document } from "./data";
import { Effects } from "./effects";

const SideBySide = lazy(() => import("./code/merge-view"));
const t = texts.policies.proposals;

/** The order that a proposal carries, as far as it is shown. */
interface Order {
  documents: Document[];
  removals: string[];
  prune: boolean;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Reads the payload of a proposal; what is not as expected is left out. */
export function orderOf(payload: unknown): Order {
  if (!isRecord(payload)) return { documents: [], removals: [], prune: false };
  const documents = Array.isArray(payload["documents"]) ? payload["documents"] : [];
  const removals = Array.isArray(payload["removals"]) ? payload["removals"] : [];
  return {
    documents: documents.filter(isRecord).flatMap(({ text, signature }) => {
      if (typeof text !== "string") return [];
      return typeof signature === "string" ? [{ text, signature }] : [{ text }];
    }),
    removals: removals.filter((name) => typeof name === "string"),
    prune: payload["prune"] === true,
  };
}

/** What an order would do. One that removes policies is previewed as the set of all that would be left. */
function useEffects(order: Order) {
  const { data, isPending } = usePolicies();
  const { documents, removals, prune } = order;
  const without = useWithout(removals);
  const published = useQuery({
    // Drafts, which make all below `policies` old, change nothing of it.
    queryKey: ["policies-proposed", order, data && inForce(data)],
    enabled: removals.length === 0 && !isPending,
    staleTime: EFFECTS_MS,
    queryFn: () => preview({ documents, prune }),
  });
  return removals.length > 0 ? without : published;
}

/** What a proposal would do: its texts beside those in force, and what changes for the partitions. */
export function Proposed({ payload }: { payload: unknown }) {
  const order = orderOf(payload);
  const effects = useEffects(order);
  return (
    <>
      <Loaded query={effects}>
        {(data) => (
          <>
            <h2>{t.effects}</h2>
            <Effects of={data} />
            {order.documents.map((document, index) => {
              const name = data.plan.policies[index]?.name ?? "";
              return <Text key={name} name={name} text={document.text} />;
            })}
          </>
        )}
      </Loaded>
    </>
  );
}

/** A text that is proposed, beside the one in force if there is one. */
function Text({ name, text }: { name: string; text: string }) {
  const policies = usePolicies();
  const there = policies.data?.some((policy) => policy.name === name && !policy.removed) ?? false;
  const current = useQuery({ ...currentQuery(name), enabled: there });
  return (
    <section>
      <h2>{t.text(name)}</h2>
      {there && !current.data ? (
        <LoadingState />
      ) : (
        <Suspense fallback={<LoadingState />}>
          <SideBySide
            before={{ label: t.inForce, text: current.data?.data.text ?? "" }}
            after={{ label: t.proposedText, text }}
          />
        </Suspense>
      )}
    </section>
  );
}
