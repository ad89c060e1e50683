import { createContext, use, useSyncExternalStore } from "react";
import { ago, inZone, withOffset } from "@/hooks/format";
import { texts } from "@/texts";

/** One clock for all that shows how long ago something was. */
const TICK_MS = 5_000;
let now = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(tell: () => void): () => void {
  listeners.add(tell);
  if (timer === undefined) {
    // Nobody looked for a while: the clock stood still meanwhile.
    now = Date.now();
    timer = setInterval(() => {
      now = Date.now();
      listeners.forEach((each) => each());
    }, TICK_MS);
  }
  return () => {
    listeners.delete(tell);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The time now, told every few seconds. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** Offset from UTC, in seconds, of the partition that a page or a row is about; undefined where it is not known. */
export const PartitionOffset = createContext<number | undefined>(undefined);

/**
 * A moment in the viewer's zone; on hover in full, in UTC, and as the partition's clock has it where that is known.
 * `relative`: how long ago it is.
 */
export function Time(props: { at: string | null | undefined; relative?: boolean; none?: string }) {
  const clock = useNow();
  const offset = use(PartitionOffset);
  if (!props.at) return <>{props.none ?? "—"}</>;
  const at = new Date(props.at);
  return (
    <time dateTime={props.at} title={hover(at, offset)}>
      {props.relative ? ago(at, clock) : inZone(at)}
    </time>
  );
}

/** A moment in the viewer's zone, in UTC and on the partition's clock, a line each. */
export function hover(at: Date, offset: number | null | undefined): string {
  const lines = [inZone(at), `${inZone(at, "UTC")} UTC`];
  if (typeof offset === "number") lines.push(`${withOffset(at, offset)} ${texts.common.onPartition}`);
  return lines.join("\n");
}
