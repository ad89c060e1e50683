import { useQueries, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { all, api, body } from "@/api/client";
import type { DraftText, PolicyText, RolloutRequest, RolloutStrategy } from "@/api/schema";
import { readLabels } from "@/hooks/labels";
import { packOf, type Choice } from "./model";

/** Drafts that could be brought. */
export function useDrafts() {
  return useQuery({
    queryKey: ["drafts", "rollout-list"],
    queryFn: () =>
      all((cursor) => api.GET("/api/v1/drafts", { params: { query: { cursor, limit: 1_000 } } })),
  });
}

/** Policies in force. */
export function usePolicies() {
  return useQuery({
    queryKey: ["policies", "rollout-list"],
    queryFn: () =>
      all((cursor) => api.GET("/api/v1/policies", { params: { query: { cursor, limit: 1_000 } } })),
  });
}

/** Revisions of a policy, the newest first. */
export function useRevisions(name: string) {
  return useQuery({
    queryKey: ["policies", "rollout-revisions", name],
    queryFn: () =>
      all((cursor) =>
        api.GET("/api/v1/policies/{name}/revisions", {
          params: { path: { name }, query: { cursor, limit: 1_000 } },
        }),
      ),
    select: (revisions) => revisions.toSorted((a, b) => b.revision - a.revision),
  });
}

/** What is asked of the controller, once all texts that it needs are there. */
export interface Asked {
  /** Absent while texts are loaded, where one cannot be, and where nothing was chosen. */
  request: RolloutRequest | undefined;
  drafts: DraftText[];
  error: unknown;
}

/** Puts what was chosen into a request. */
export function useRequest(choice: Choice, strategy: RolloutStrategy): Asked {
  const policies = choice.kind === "policies";
  const drafts = useQueries({
    queries: (policies ? choice.drafts : []).map((name) => ({
      queryKey: ["drafts", "rollout", name],
      queryFn: () => body(api.GET("/api/v1/drafts/{name}", { params: { path: { name } } })),
    })),
  });
  const reverts = useQueries({
    queries: (policies ? choice.policies : [])
      .filter(({ to }) => typeof to === "number")
      .map(({ name, to }) => ({
        queryKey: ["policies", "rollout", name, to],
        queryFn: () =>
          body(
            api.GET("/api/v1/policies/{name}/revisions/{revision}", {
              params: { path: { name, revision: Number(to) } },
            }),
          ),
      })),
  });
  const texts = [
    ...drafts.map(({ data }): PolicyText | undefined => data && { file: data.draft.name, text: data.text }),
    ...reverts.map(({ data }): PolicyText | undefined => {
      return data && { text: data.text, ...(data.signature ? { signature: data.signature } : {}) };
    }),
  ];
  const removals = choice.policies.filter(({ to }) => to === "remove").map(({ name }) => name);
  const request = isChosen(choice) ? assemble(choice, strategy, texts, removals) : undefined;
  // The same request stays the same thing, so that it is planned once.
  const fingerprint = JSON.stringify(request ?? null);
  const stable = useMemo(
    () => (JSON.parse(fingerprint) as RolloutRequest | null) ?? undefined,
    [fingerprint],
  );
  return {
    request: stable,
    drafts: drafts.flatMap(({ data }) => data ?? []),
    error: [...drafts, ...reverts].find(({ error }) => error)?.error,
  };
}

/** Whether there is something to roll out. */
export function isChosen({ kind, pack, drafts, policies }: Choice): boolean {
  if (kind === "package") return Boolean(packOf(pack));
  return drafts.length + policies.length > 0 && policies.every(({ to }) => to !== undefined);
}

function assemble(
  choice: Choice,
  strategy: RolloutStrategy,
  texts: (PolicyText | undefined)[],
  removals: string[],
): RolloutRequest | undefined {
  const rest = { strategy, description: choice.description.trim() };
  if (choice.kind === "package") {
    const labels = readLabels(choice.labels);
    return labels && { package: packOf(choice.pack) ?? null, labels, ...rest };
  }
  const documents = texts.filter((text) => text !== undefined);
  return documents.length === texts.length ? { documents, removals, ...rest } : undefined;
}
