import { useQuery } from "@tanstack/react-query";
import { all, api, body } from "@/api/client";
import type { components } from "@/api/schema";

export type TokenView = components["schemas"]["TokenView"];
export type TokenCreated = components["schemas"]["TokenCreated"];
export type TokenRequest = components["schemas"]["TokenRequest"];
export type EnrolmentView = components["schemas"]["EnrolmentView"];
export type ForeignTokenView = components["schemas"]["ForeignTokenView"];
export type ForeignTokenCreated = components["schemas"]["ForeignTokenCreated"];

const PAGE = 1_000;

/** Enrolment tokens, newest first. */
export function useTokens() {
  return useQuery({
    queryKey: ["tokens", "enrolment"],
    queryFn: async () => {
      const tokens = await all((cursor) =>
        api.GET("/api/v1/tokens", { params: { query: { limit: PAGE, cursor } } }),
      );
      return tokens.sort((a, b) => b.created_at.localeCompare(a.created_at));
    },
  });
}

/** Tokens of other OpAMP agents, newest first. */
export function useForeignTokens() {
  return useQuery({
    queryKey: ["tokens", "foreign"],
    queryFn: async () => {
      const tokens = await all((cursor) =>
        api.GET("/api/v1/foreign-tokens", { params: { query: { limit: PAGE, cursor } } }),
      );
      return tokens.sort((a, b) => b.created_at.localeCompare(a.created_at));
    },
  });
}

/** Enrolments that wait or were decided lately; those that wait first. */
export function useEnrolments() {
  return useQuery({
    queryKey: ["enrolments", "list"],
    queryFn: async () => {
      const found = await all((cursor) =>
        api.GET("/api/v1/enrolments", { params: { query: { limit: PAGE, cursor } } }),
      );
      const rank = (one: EnrolmentView) => (one.state === "waiting" ? 0 : 1);
      return found.sort((a, b) => rank(a) - rank(b) || b.since.localeCompare(a.since));
    },
  });
}

/** The agents that enrolled with a token: their ids, as the audit log tells them. */
export function useArrivals(token: TokenView) {
  return useQuery({
    queryKey: ["audit", "arrivals", token.id],
    queryFn: async () => {
      const { items } = await body(
        api.GET("/api/v1/audit", {
          params: { query: { action: "agent", since: token.created_at, limit: PAGE } },
        }),
      );
      const came = items.filter(
        (entry) =>
          /^agent\.(re-)?enrol$/.test(entry.action) && (entry.detail ?? "").startsWith(`token ${token.id},`),
      );
      return [...new Set(came.map((entry) => entry.actor.replace(/^agent /, "")))];
    },
  });
}

/** One agent, for its name and state. */
export function useAgent(id: string) {
  return useQuery({
    queryKey: ["agents", "arrived", id],
    queryFn: () => body(api.GET("/api/v1/agents/{agent}", { params: { path: { agent: id } } })),
  });
}
