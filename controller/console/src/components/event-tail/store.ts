import type { components } from "@/api/schema";

/** An event as the controller tells it. */
export type EventView = components["schemas"]["EventView"];
/** What a tail tells. */
export type TailItem = components["schemas"]["TailItem"];

/** An event with the partition that it came from. */
export interface TailEvent {
  agent: string;
  agentName: string;
  event: EventView;
}

/** What was told of a partition: it is looked into, or not (any more) and why. */
export interface TailNote {
  agent: string;
  agentName: string;
  /** Why it ended; absent while it is looked into. */
  ended?: string;
}

/** What a tail shows at a moment. */
export interface TailSnapshot {
  /** Newest first. */
  rows: readonly TailEvent[];
  paused: boolean;
  /** What came while paused and is kept. */
  waiting: number;
  /** What came while paused and was too much to be kept. */
  unkept: number;
  /** Events that the controller did not send because they were too many. */
  skipped: number;
  /** Events that came since the tail began. */
  came: number;
  notes: readonly TailNote[];
}

/** At most so many events are shown, and while paused as many again of each kind are kept aside. */
export const MOST_ROWS = 2_000;
/** So many events are known to have come: all that are in memory, and room for others before they are cut to these. */
const MOST_KNOWN = 4 * MOST_ROWS;
/** Shown at most so often: two hundred events a second are no two hundred drawings. */
const FLUSH_MS = 250;

/** What makes an event itself: two agents of a partition may both tell it. */
export function keyOf({ agent, event }: TailEvent): string {
  return `${agent} ${event.id}`;
}

/** The newest first. */
function byTime(rows: TailEvent[]): TailEvent[] {
  return rows.sort((a, b) => (a.event.time < b.event.time ? 1 : a.event.time > b.event.time ? -1 : 0));
}

/** The events of one tail, bounded in memory, told to the page a few times a second. */
export class TailStore {
  /** The stream whose events these are. */
  readonly url: string;
  #now: TailSnapshot = { rows: [], paused: false, waiting: 0, unkept: 0, skipped: 0, came: 0, notes: [] };
  #pending: TailEvent[] = [];
  /** Told while paused of the time before; newest first. */
  #earlier: TailEvent[] = [];
  #unkept = 0;
  #skipped = 0;
  #came = 0;
  #notes = new Map<string, TailNote>();
  #seen = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(url: string) {
    this.url = url;
  }

  readonly subscribe = (tell: () => void): (() => void) => {
    this.#listeners.add(tell);
    return () => this.#listeners.delete(tell);
  };

  readonly snapshot = (): TailSnapshot => this.#now;

  /** Takes what the stream tells. */
  take(item: TailItem): void {
    if (item.kind === "event") {
      this.#add({ agent: item.agent, agentName: item.agent_name, event: item.event });
    } else if (item.kind === "skipped") {
      this.#skipped += item.events;
    } else {
      const ended = item.kind === "ended" ? { ended: item.reason } : {};
      this.#notes.set(item.agent, { agent: item.agent, agentName: item.agent_name, ...ended });
    }
    this.#soon();
  }

  /** The stream is broken: no partition is looked into until it says so anew. Why one was not any more stays. */
  unwatched(): void {
    for (const [agent, { ended }] of this.#notes) if (ended === undefined) this.#notes.delete(agent);
    this.#soon();
  }

  #add(row: TailEvent): void {
    const key = keyOf(row);
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#came += 1;
    this.#pending.push(row);
    if (this.#pending.length > MOST_ROWS) {
      this.#pending.shift();
      if (this.#now.paused) this.#unkept += 1;
    }
  }

  /** Puts events that happened before the stream began to those that came, by their time. */
  merge(earlier: readonly TailEvent[]): void {
    const fresh = earlier.filter((row) => !this.#seen.has(keyOf(row)));
    fresh.forEach((row) => this.#seen.add(keyOf(row)));
    if (!fresh.length) return;
    if (!this.#now.paused) {
      this.#show({ rows: byTime([...this.#now.rows, ...fresh]).slice(0, MOST_ROWS) });
      return;
    }
    const aside = byTime([...this.#earlier, ...fresh]);
    this.#earlier = aside.slice(0, MOST_ROWS);
    this.#unkept += aside.length - this.#earlier.length;
    this.#soon();
  }

  /** Nothing moves any more; what comes is kept aside. */
  pause(): void {
    this.#flush();
    this.#show({ paused: true });
  }

  /** Shows what came meanwhile, and goes on. */
  resume(): void {
    this.#now = { ...this.#now, paused: false };
    this.#unkept = 0;
    this.#flush();
    if (!this.#earlier.length) return;
    const rows = byTime([...this.#now.rows, ...this.#earlier]).slice(0, MOST_ROWS);
    this.#earlier = [];
    this.#show({ rows });
  }

  /** Forgets what is shown. */
  clear(): void {
    this.#pending = [];
    this.#earlier = [];
    this.#unkept = 0;
    this.#show({ rows: [], waiting: 0, unkept: 0 });
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, FLUSH_MS);
  }

  #flush(): void {
    if (this.#now.paused) {
      this.#forget(this.#now.rows);
      this.#show({ waiting: this.#pending.length + this.#earlier.length, unkept: this.#unkept });
      return;
    }
    const came = this.#pending.reverse();
    this.#pending = [];
    const rows = came.length ? [...came, ...this.#now.rows].slice(0, MOST_ROWS) : this.#now.rows;
    this.#forget(rows);
    this.#show({ rows, waiting: 0, unkept: 0 });
  }

  /** What is nowhere in memory any more need not be known. */
  #forget(rows: readonly TailEvent[]): void {
    if (this.#seen.size <= MOST_KNOWN) return;
    this.#seen = new Set([...rows, ...this.#pending, ...this.#earlier].map(keyOf));
  }

  #show(change: Partial<TailSnapshot>): void {
    const notes = [...this.#notes.values()];
    this.#now = { ...this.#now, skipped: this.#skipped, came: this.#came, notes, ...change };
    this.#listeners.forEach((tell) => tell());
  }
}
