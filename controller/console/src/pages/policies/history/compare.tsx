import { lazy, Suspense } from "react";
import { Loaded, LoadingState } from "@/components/states";
import { texts } from "@/texts";
import { Changes } from "../changes";
import { useDiff, useRevision } from "../data";

const SideBySide = lazy(() => import("../code/merge-view"));
const t = texts.policies.history;

/** Two revisions side by side, and what differs in meaning. */
export function Compare({ name, from, to }: { name: string; from: number; to: number }) {
  const before = useRevision(name, from);
  const after = useRevision(name, to);
  const diff = useDiff(name, from, to);
  return (
    <section aria-labelledby="compare">
      <h2 id="compare">{t.compare(from, to)}</h2>
      <Loaded query={before}>
        {(old) => (
          <Loaded query={after}>
            {(next) => (
              <Suspense fallback={<LoadingState />}>
                <SideBySide
                  before={{ label: t.side(from), text: old.revision.removed ? "" : old.text }}
                  after={{ label: t.side(to), text: next.revision.removed ? "" : next.text }}
                />
              </Suspense>
            )}
          </Loaded>
        )}
      </Loaded>
      <h3>{t.changes}</h3>
      <Loaded query={diff}>{(found) => <Changes of={found.changes} label={t.compare(from, to)} />}</Loaded>
    </section>
  );
}
