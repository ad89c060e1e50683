import type { Query, QueryClient, QueryKey } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";

/**
 * The controller's stream of changes (`GET /api/v1/events`). Events only say what is out of date; what is shown is read
 * anew, at most every {@link CALM} for a kind, however many events come: ten thousand partitions may change at once.
 */
const CALM = 1_500;
/** While many agents change at once the controller says `reload` each second; what agents hardly change is read this often. */
const REST_CALM = 10_000;

/** Whether what is shown is live. */
export type LiveState = "connecting" | "live" | "broken";

/** What each kind of event makes old. */
const STALE: Record<string, QueryKey[]> = {
  agent: [["agents"], ["fleet"], ["partitions"], ["enrolments"]],
  fleet: [["fleet"], ["partitions"]],
  policy: [["policies"], ["drafts"], ["partitions"]],
  rollout: [["rollouts"]],
  audit: [
    ["audit"],
    ["proposals"],
    ["tokens"],
    ["enrolments"],
    ["users"],
    ["packages"],
    ["licence"],
    ["rollouts"],
  ],
};

/** What is out of date by what agents do. */
const AGENTS = STALE["agent"] ?? [];
/** All else that events make old: `reload` says that any of them may have been missed. */
const REST = Object.values(STALE)
  .flat()
  .filter(([key], at, all) => {
    return !AGENTS.some(([mine]) => mine === key) && all.findIndex(([other]) => other === key) === at;
  });

let state: LiveState = "connecting";
const listeners = new Set<() => void>();

function set(next: LiveState): void {
  if (next === state) return;
  state = next;
  listeners.forEach((tell) => tell());
}

/** The state of the stream, for the sign in the header. */
export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => state,
  );
}

/** Keeps what is shown fresh while a session lasts. */
export function useLiveUpdates(client: QueryClient, active: boolean): void {
  useEffect(() => (active ? follow(client) : undefined), [client, active]);
}

function follow(client: QueryClient): () => void {
  let source: EventSource | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  let wait = 1_000;
  let gone = false;
  const due = new Map<string, ReturnType<typeof setTimeout>>();
  const refresh = (kind: string, keys: readonly QueryKey[]) => {
    const underWay = keys.some((queryKey) => client.isFetching({ queryKey }) > 0);
    // What is on its way is left to arrive: events that come faster than answers would let none arrive.
    const read = keys.map((queryKey) => client.invalidateQueries({ queryKey }, { cancelRefetch: false }));
    // But it may have been read before the change.
    if (underWay) void Promise.all(read).then(() => soon(kind, keys));
  };
  const soon = (kind: string, keys: readonly QueryKey[], pause = CALM) => {
    if (gone || due.has(kind)) return;
    const timer = setTimeout(() => {
      due.delete(kind);
      refresh(kind, keys);
    }, pause);
    due.set(kind, timer);
  };
  const open = () => {
    source = new EventSource("/api/v1/events");
    source.onopen = () => {
      if (state === "broken") {
        // What happened meanwhile is not known for sure, and what failed may work again.
        soon("agent", AGENTS);
        soon("reopened", REST);
        const failed = (query: Query) => query.state.status === "error";
        void client.refetchQueries({ type: "active", predicate: failed }, { cancelRefetch: false });
      }
      wait = 1_000;
      set("live");
    };
    source.onerror = () => {
      set("broken");
      // A browser goes on by itself unless the answer was refused; then we do, later and later.
      if (source?.readyState === EventSource.CLOSED && !gone) {
        again = setTimeout(open, wait * (0.75 + Math.random() / 2));
        wait = Math.min(wait * 2, 30_000);
        // If the session has ended, this says so.
        void client.invalidateQueries({ queryKey: ["whoami"] });
      }
    };
    for (const [kind, keys] of Object.entries(STALE)) source.addEventListener(kind, () => soon(kind, keys));
    source.addEventListener("reload", () => {
      soon("agent", AGENTS);
      soon("reload", REST, REST_CALM);
    });
  };
  open();
  return () => {
    gone = true;
    clearTimeout(again);
    due.forEach((timer) => clearTimeout(timer));
    source?.close();
    set("connecting");
  };
}
