import { queryOptions, useQuery } from "@tanstack/react-query";
import { all, api, tagged } from "./client";
import type { ProposalView } from "./schema";

// Several pages ask for these. What one of them was told, another shows: each key has one shape, and is here alone.

/** Proposals of one request. */
const PAGE = 1_000;

/** The settings with the tag that a change has to name. */
export function useSettings() {
  return useQuery({
    queryKey: ["proposals", "settings"],
    queryFn: () => tagged(api.GET("/api/v1/settings")),
  });
}

/** Whether what is published or rolled out needs a second person. */
export function useFourEyes(): boolean {
  return useSettings().data?.data.four_eyes ?? false;
}

const list = queryOptions({
  queryKey: ["proposals", "list"],
  queryFn: () =>
    all((cursor) => api.GET("/api/v1/proposals", { params: { query: { cursor, limit: PAGE } } })),
});

function inOrder(proposals: ProposalView[]): ProposalView[] {
  const decided = (one: ProposalView) => Number(one.state !== "pending");
  return proposals.toSorted((a, b) => decided(a) - decided(b) || b.proposed_at.localeCompare(a.proposed_at));
}

/** All proposals, newest first; those that wait before all others. */
export function useProposals() {
  return useQuery({ ...list, select: inOrder });
}

/** Proposals of a kind that wait for a second person. */
export function usePending(kind: ProposalView["kind"]) {
  return useQuery({
    ...list,
    select: (proposals) => proposals.filter((one) => one.kind === kind && one.state === "pending"),
  });
}

/** One proposal in full, with the tag that a decision has to name. */
export function useProposal(id: string) {
  return useQuery({
    queryKey: ["proposals", "one", id],
    queryFn: () => tagged(api.GET("/api/v1/proposals/{id}", { params: { path: { id } } })),
  });
}
