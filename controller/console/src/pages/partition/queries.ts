import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { all, api, body, tagged } from "@/api/client";
import type { components } from "@/api/schema";

/** Everything about a partition's agent. */
export type Agent = components["schemas"]["AgentView"];
/** Rates of an agent. */
export type Rates = components["schemas"]["AgentRates"];
/** What history tells of. */
export type Metric = components["schemas"]["HistoryMetric"];

/** While somebody looks, agents report every second. */
const RATES_MS = 2_000;
const MINUTE = 60_000;

/** The agent with its tag. */
export function useAgent(agent: string) {
  return useQuery({
    queryKey: ["agents", agent],
    queryFn: () => tagged(api.GET("/api/v1/agents/{agent}", { params: { path: { agent } } })),
    refetchInterval: 15_000,
  });
}

/** Its rates, each two seconds while the page is in view. */
export function useRates({ summary, rate_detail }: Agent): Rates {
  const query = useQuery({
    queryKey: ["agents", summary.id, "rates"],
    queryFn: () => body(api.GET("/api/v1/rates", { params: { query: { agent: summary.id, watch: true } } })),
    refetchInterval: RATES_MS,
    placeholderData: keepPreviousData,
  });
  return query.data?.agents[0] ?? rate_detail;
}

/** How far back history is shown. */
export const SPANS = {
  hour: { ms: 60 * MINUTE, step: 60 },
  day: { ms: 24 * 60 * MINUTE, step: 300 },
} as const;
/** A span of history. */
export type Span = keyof typeof SPANS;

/** A metric of the last hour or day, anew each minute as the controller writes it down. */
export function useHistory(agent: string, metric: Metric, span: Span) {
  return useQuery({
    queryKey: ["history", agent, metric, span],
    queryFn: () => {
      const { ms, step } = SPANS[span];
      const from = new Date(Date.now() - ms).toISOString();
      const query = { metric, from, step };
      return body(api.GET("/api/v1/agents/{agent}/history", { params: { path: { agent }, query } }));
    },
    refetchInterval: MINUTE,
    placeholderData: keepPreviousData,
  });
}

/** What it should run, and what it runs. */
export function useAgentPolicy(agent: string) {
  return useQuery({
    queryKey: ["agents", agent, "policy"],
    queryFn: () => body(api.GET("/api/v1/agents/{agent}/policy", { params: { path: { agent } } })),
  });
}

/** Leases of a partition. */
export function useLeases(partition: string) {
  return useQuery({
    queryKey: ["partitions", partition, "leases"],
    queryFn: () =>
      all((cursor) =>
        api.GET("/api/v1/leases", {
          params: { query: { partition, limit: 1_000, ...(cursor ? { cursor } : {}) } },
        }),
      ),
    refetchInterval: 5_000,
  });
}

/** Entries of the audit log about an agent, newest first. `action`: only of this kind. */
export function useChanges(object: string, action?: string) {
  return useInfiniteQuery({
    queryKey: ["audit", "object", object, action ?? ""],
    queryFn: ({ pageParam }) =>
      body(
        api.GET("/api/v1/audit", {
          params: {
            query: {
              object,
              limit: 50,
              ...(action ? { action } : {}),
              ...(pageParam ? { cursor: pageParam } : {}),
            },
          },
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next ?? undefined,
  });
}
