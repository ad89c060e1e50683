import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { all, api, body } from "@/api/client";
import type {
  RolloutChange,
  RolloutPackage,
  RolloutRequest,
  RolloutState,
  RolloutView,
  WaveView,
} from "@/api/schema";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";

/** Words such as "watched for 8 s more" grow old without an event. */
const WORDS_MS = 5_000;
/** Up to this many partitions the table follows every change; beyond it is read anew in calm steps. */
const FEW = 1_000;
const CALM_MS = 15_000;
/** Most partitions that the table holds. */
export const MOST_PARTITIONS = 10_000;

/** Nothing more will happen. */
export function isOver(state: RolloutState): boolean {
  return state === "done" || state === "rolled_back";
}

/** Rollouts, newest first; the controller keeps some two hundred. */
export function useRollouts() {
  return useQuery({
    queryKey: ["rollouts", "list"],
    queryFn: () =>
      all((cursor) => api.GET("/api/v1/rollouts", { params: { query: { cursor, limit: 1_000 } } })),
  });
}

/** One rollout with what it waits for. */
export function useRollout(id: number, wanted = true) {
  return useQuery({
    queryKey: ["rollouts", "one", id],
    queryFn: () => body(api.GET("/api/v1/rollouts/{id}", { params: { path: { id } } })),
    enabled: wanted,
    refetchInterval: ({ state }) => (state.data && !isOver(state.data.state) ? WORDS_MS : false),
  });
}

/** Partitions that a rollout is for. */
export function partitionsOf(waves: readonly WaveView[]): number {
  return waves.reduce((sum, wave) => sum + wave.partitions, 0);
}

/**
 * Where its partitions stand. The key carries the counts, so that the list is read when one of them changed and not with
 * every event of the fleet.
 */
export function useRolloutPartitions(view: RolloutView) {
  const { id, waves, state } = view;
  const few = partitionsOf(waves) <= FEW;
  return useQuery({
    queryKey: ["rollout-partitions", id, few ? JSON.stringify(waves) : isOver(state)],
    queryFn: () =>
      all(
        (cursor) =>
          api.GET("/api/v1/rollouts/{id}/partitions", {
            params: { path: { id }, query: { cursor, limit: 1_000 } },
          }),
        MOST_PARTITIONS,
      ),
    placeholderData: keepPreviousData,
    refetchInterval: isOver(state) ? false : CALM_MS,
  });
}

/** What a person may order. */
export type Order = "pause" | "resume" | "abort";

/** Orders something of a rollout; what it answers is shown at once. */
export function useOrder(id: number) {
  const client = useQueryClient();
  const toasts = useToasts();
  return useMutation({
    mutationFn: ({ order, reason }: { order: Order; reason: string }) => {
      const request = { params: { path: { id } }, body: { reason } };
      if (order === "pause") return body(api.POST("/api/v1/rollouts/{id}/pause", request));
      if (order === "resume") return body(api.POST("/api/v1/rollouts/{id}/resume", request));
      return body(api.POST("/api/v1/rollouts/{id}/abort", request));
    },
    onSuccess: (view, { order }) => {
      client.setQueryData(["rollouts", "one", id], view);
      toasts.done(texts.rollouts.ordered[order](id));
      return client.invalidateQueries({ queryKey: ["rollouts"] });
    },
  });
}

/** What it brings, in words: `base@7, removal of quiet`, `muster-agent@0.2.0`. */
export function whatOf(changes: readonly RolloutChange[], pack: RolloutPackage | null | undefined): string {
  if (pack) return `${pack.name}@${pack.version}`;
  const word = (change: RolloutChange) =>
    change.removed ? texts.rollouts.removalOf(change.name) : `${change.name}@${String(change.to)}`;
  return changes.map(word).join(", ");
}

/** Approves or rejects. */
export function useDecision(id: string) {
  const client = useQueryClient();
  const toasts = useToasts();
  return useMutation({
    mutationFn: ({ approve, note }: { approve: boolean; note: string }) => {
      const request = { params: { path: { id } }, body: { note } };
      return approve
        ? body(api.POST("/api/v1/proposals/{id}/approve", request))
        : body(api.POST("/api/v1/proposals/{id}/reject", request));
    },
    onSuccess: async (proposal, { approve }) => {
      toasts.done(
        approve ? texts.rollouts.proposals.approved : texts.rollouts.proposals.rejected,
        proposal.summary,
      );
      await client.invalidateQueries({ queryKey: ["proposals"] });
      await client.invalidateQueries({ queryKey: ["rollouts"] });
    },
  });
}

/** What a rollout would do. `undefined`: there is nothing to ask yet. */
export function usePlan(request: RolloutRequest | undefined) {
  return useQuery({
    // Not among what events make old: a plan is one of a moment, and making one is work for the controller.
    queryKey: ["rollout-plan", request],
    queryFn: () => body(api.POST("/api/v1/rollouts/plan", { body: request ?? {} })),
    enabled: request !== undefined,
    staleTime: 0,
    gcTime: 10_000,
    placeholderData: keepPreviousData,
  });
}
