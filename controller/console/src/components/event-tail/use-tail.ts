import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { api, body } from "@/api/client";
import { wordsOf } from "@/api/problem";
import { useEventStream } from "@/api/stream";
import { TailStore, type TailEvent, type TailItem } from "./store";

const KINDS = ["event", "skipped", "started", "ended"] as const;
/** Events that were before one began to look. */
const EARLIER = 200;

/** Which tail: of a partition, or of those of the fleet that have some labels. */
export interface TailOf {
  agent?: string | undefined;
  filter: string;
  selector?: string | undefined;
  /** Its partition is not connected: nothing is asked until it is, and what came before stays. */
  away?: boolean;
}

function urlOf({ agent, filter, selector }: TailOf): string {
  const query = new URLSearchParams();
  if (filter) query.set("filter", filter);
  if (selector && !agent) query.set("selector", selector);
  const path = agent ? `/api/v1/agents/${encodeURIComponent(agent)}/events/tail` : "/api/v1/events/tail";
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** What the partition has in memory. */
async function recent(agent: string, filter: string): Promise<TailEvent[]> {
  const query = { filter, limit: EARLIER };
  const told = await body(
    api.GET("/api/v1/agents/{agent}/events/recent", { params: { path: { agent }, query } }),
  );
  return told.events.map((event) => ({ agent: told.agent, agentName: event.system ?? "", event }));
}

/** The controller looks into so many partitions at a time, and more are selected. */
const TOO_MANY = "too-many-agents";

/** A tail that goes on while the component is there. Of one partition it begins with what happened before. */
export function useTail(of: TailOf) {
  const url = urlOf(of);
  const store = useMemo(() => new TailStore(url), [url]);
  const follows = of.away ? undefined : url;
  const { state, refusal } = useEventStream<TailItem>(follows, KINDS, (item) => store.take(item));
  const [unread, setUnread] = useState<{ store: TailStore; words: string }>();
  const { agent, filter } = of;
  useEffect(() => {
    if (state === "broken") store.unwatched();
  }, [state, store]);
  useEffect(() => {
    // After a break, too: what came meanwhile is not told by the stream.
    if (state !== "live" || !agent) return undefined;
    let gone = false;
    recent(agent, filter).then(
      (rows) => (gone ? undefined : store.merge(rows)),
      (failure: unknown) => (gone ? undefined : setUnread({ store, words: wordsOf(failure) })),
    );
    return () => {
      gone = true;
    };
  }, [state, agent, filter, store]);
  const seen = useSyncExternalStore(store.subscribe, store.snapshot);
  const tooMany = refusal?.code === TOO_MANY ? refusal.message : undefined;
  const failed = refusal?.message ?? (unread?.store === store ? unread.words : undefined);
  return { store, seen, state, tooMany, error: tooMany || of.away ? undefined : failed };
}
