import { queryOptions, useQuery } from "@tanstack/react-query";
import { all, api, body, tagged } from "@/api/client";
import type { components } from "@/api/schema";
import type { Schema } from "./schema/walk";

type Schemas = components["schemas"];
/** A revision of a policy. */
export type RevisionView = Schemas["PolicyRevisionView"];
/** A draft. */
export type DraftView = Schemas["DraftView"];
/** What waits for a second person. */
export type Proposal = Schemas["ProposalView"];
/** One difference between two policies. */
export type Change = Schemas["PolicyChange"];
/** What a check of a text found. */
export type Check = Schemas["PolicyCheck"];
/** What publishing would mean. */
export type Preview = Schemas["PolicyPreview"];

/** More than these are not read; the controller's own limit of a set is less. */
const MOST = 2_000;
const LIMIT = 500;

/** The newest revision of every policy, removed ones too. */
export function usePolicies() {
  return useQuery({
    queryKey: ["policies", "list"],
    queryFn: () =>
      all(
        (cursor) =>
          api.GET("/api/v1/policies", { params: { query: { limit: LIMIT, ...(cursor ? { cursor } : {}) } } }),
        MOST,
      ),
  });
}

/** The drafts. */
export const draftsQuery = queryOptions({
  queryKey: ["drafts", "list"],
  queryFn: () =>
    all(
      (cursor) =>
        api.GET("/api/v1/drafts", { params: { query: { limit: LIMIT, ...(cursor ? { cursor } : {}) } } }),
      MOST,
    ),
});

/** The drafts. */
export function useDrafts() {
  return useQuery(draftsQuery);
}

/** A draft's text with its tag, as it is now. */
export function readDraft(name: string) {
  return tagged(api.GET("/api/v1/drafts/{name}", { params: { path: { name } } }));
}

/** A policy in force with its text and tag. It must be there. */
export function currentQuery(name: string) {
  return queryOptions({
    queryKey: ["policies", name, "current"],
    queryFn: () => tagged(api.GET("/api/v1/policies/{name}", { params: { path: { name } } })),
  });
}

/** The revisions of a policy, newest first. */
export function useRevisions(name: string) {
  return useQuery({
    queryKey: ["policies", name, "revisions"],
    queryFn: () =>
      all(
        (cursor) =>
          api.GET("/api/v1/policies/{name}/revisions", {
            params: { path: { name }, query: { limit: LIMIT, ...(cursor ? { cursor } : {}) } },
          }),
        MOST,
      ),
  });
}

/** One revision with its text. It never changes, but for its standing. */
export function useRevision(name: string, revision: number | undefined) {
  return useQuery({
    queryKey: ["policies", name, "revision", revision],
    enabled: revision !== undefined,
    staleTime: Infinity,
    queryFn: () =>
      body(
        api.GET("/api/v1/policies/{name}/revisions/{revision}", {
          params: { path: { name, revision: revision ?? 0 } },
        }),
      ),
  });
}

/** What differs between two revisions. */
export function useDiff(name: string, from: number, to: number) {
  return useQuery({
    queryKey: ["policies", name, "diff", from, to],
    staleTime: Infinity,
    queryFn: () =>
      body(api.GET("/api/v1/policies/{name}/diff", { params: { path: { name }, query: { from, to } } })),
  });
}

/** How often a list asks how far its policies have got: every agent's news would be far too often. */
const CALM_MS = 10_000;

/** How far a policy has got, for a list. */
export function useProgress(name: string, enabled: boolean) {
  return useQuery({
    queryKey: ["policies", name, "progress"],
    enabled,
    refetchInterval: CALM_MS,
    queryFn: () => body(api.GET("/api/v1/policies/{name}/status", { params: { path: { name } } })),
  });
}

/** How far a policy has got, live: it is read anew with every news of agents. */
export function useStatus(name: string) {
  return useQuery({
    queryKey: ["partitions", "policy-status", name],
    queryFn: () => body(api.GET("/api/v1/policies/{name}/status", { params: { path: { name } } })),
  });
}

/** Rollouts that bring policies and are not over, by name of the policy. */
export function useCarrying() {
  return useQuery({
    queryKey: ["rollouts", "carrying"],
    queryFn: () => body(api.GET("/api/v1/rollouts", { params: { query: { limit: 50 } } })),
    select: ({ items }) =>
      new Map(
        items
          .filter(({ state }) => state !== "done" && state !== "rolled_back")
          .flatMap((rollout) => rollout.changes.map((change) => [change.name, rollout] as const)),
      ),
  });
}

/** The JSON Schema of policies. */
export function useSchema() {
  return useQuery({
    queryKey: ["policy-schema"],
    staleTime: Infinity,
    queryFn: async () => (await body(api.GET("/api/v1/schemas/policy"))) as Schema,
  });
}

/** A document as it is sent in a set. */
export type Document = Schemas["PolicyText"];

/** The text of a policy in force as it would be sent again. */
async function documentOf(name: string): Promise<Document> {
  const { text, signature } = await body(api.GET("/api/v1/policies/{name}", { params: { path: { name } } }));
  return signature ? { text, signature } : { text };
}

/** Requests at the same time. */
const AT_ONCE = 8;

/** The texts of many policies, some at a time. */
async function documentsOf(names: readonly string[]): Promise<Document[]> {
  const found: Document[] = [];
  for (let at = 0; at < names.length; at += AT_ONCE) {
    found.push(...(await Promise.all(names.slice(at, at + AT_ONCE).map(documentOf))));
  }
  return found;
}

/** What makes an effect on partitions another one: which policies are in force, and which revision of each. */
export function inForce(policies: readonly RevisionView[]): string[] {
  return policies
    .filter(({ removed }) => !removed)
    .map(({ name, revision }) => `${name}@${String(revision)}`);
}

/** How long effects on partitions are taken to be so, unless another policy is in force. */
export const EFFECTS_MS = 60_000;

/** What would be without some policies: the set of all others, and nothing else. */
export function useWithout(removals: readonly string[]) {
  const { data } = usePolicies();
  const others = data?.filter(({ name, removed }) => !removed && !removals.includes(name));
  return useQuery({
    // Not below `policies`, which each draft that is saved makes old: this asks for the text of every policy.
    queryKey: ["policies-without", removals, others && inForce(others)],
    enabled: removals.length > 0 && others !== undefined,
    staleTime: EFFECTS_MS,
    queryFn: async () =>
      preview({ documents: await documentsOf((others ?? []).map(({ name }) => name)), prune: true }),
  });
}

/** What publishing a set would mean. `events`: partitions are asked about their recent events. */
export function preview(set: { documents: Document[]; prune?: boolean; events?: boolean }): Promise<Preview> {
  return body(
    api.POST("/api/v1/policies/preview", { body: { prune: false, events: false, dry_run: false, ...set } }),
  );
}

/** Checks a text; changes nothing. */
export function check(text: string): Promise<Check> {
  return body(api.POST("/api/v1/policies/validate", { ...asYaml, body: text }));
}

/** Sends a text as it stands. */
export const asYaml = {
  headers: { "content-type": "application/yaml" },
  bodySerializer: (text: string) => text,
} as const;
