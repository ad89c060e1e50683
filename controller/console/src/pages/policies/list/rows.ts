import type { components } from "@/api/schema";
import type { DraftView, RevisionView } from "../data";

type Rollout = components["schemas"]["RolloutView"];

/** A line of the list: a policy, or what may become one. */
export interface Row {
  name: string;
  revision: RevisionView | undefined;
  drafts: DraftView[];
  rollout: Rollout | undefined;
}

/** Policies with the drafts and rollouts that would change them, by name. */
export function rowsOf(
  policies: readonly RevisionView[],
  drafts: readonly DraftView[],
  rollouts: ReadonlyMap<string, Rollout>,
): Row[] {
  const rows = new Map<string, Row>();
  const row = (name: string): Row => {
    const found = rows.get(name) ?? { name, revision: undefined, drafts: [], rollout: rollouts.get(name) };
    rows.set(name, found);
    return found;
  };
  for (const revision of policies) row(revision.name).revision = revision;
  for (const draft of drafts) row(draft.policy || draft.name).drafts.push(draft);
  for (const name of rollouts.keys()) row(name);
  return [...rows.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** Those that hold the words, without removed ones unless they are wanted or somebody works on them. */
export function wanted(rows: readonly Row[], words: string, removed: boolean): Row[] {
  const sought = words.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => {
    if (row.revision?.removed && !removed && row.drafts.length === 0 && !row.rollout) return false;
    const text = textOf(row);
    return sought.every((word) => text.includes(word));
  });
}

function textOf({ name, revision, drafts }: Row): string {
  const labels = Object.entries(revision?.selector ?? {}).map(([key, value]) => `${key}=${value}`);
  const words = [
    name,
    revision?.description,
    revision?.published_by,
    ...labels,
    ...drafts.map((d) => d.name),
  ];
  return words.join(" ").toLowerCase();
}
