import type { QueryClient, QueryKey } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";

/**
 * The controller's stream of changes (`GET /api/v1/events`). Events only say what is out of date; what is shown is read
 * anew, at most every {@link CALM} for a kind, however many events come: ten thousand partitions may change at once.
 */
const CALM = 1_500;

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
  const refresh = (kind: string) => {
    for (const queryKey of STALE[kind] ?? []) void client.invalidateQueries({ queryKey });
  };
  const soon = (kind: string) => {
    if (due.has(kind)) return;
    const timer = setTimeout(() => {
      due.delete(kind);
      refresh(kind);
    }, CALM);
    due.set(kind, timer);
  };
  const open = () => {
    source = new EventSource("/api/v1/events");
    source.onopen = () => {
      // What happened while it was broken is not known for sure.
      if (state === "broken") void client.invalidateQueries();
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
    for (const kind of Object.keys(STALE)) source.addEventListener(kind, () => soon(kind));
    source.addEventListener("reload", () => void client.invalidateQueries());
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
