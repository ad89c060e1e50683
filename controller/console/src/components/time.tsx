import { useSyncExternalStore } from "react";
import { ago, inZone } from "@/hooks/format";

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

/**
 * A moment in the viewer's zone; on hover in full, in UTC, and in the partition's zone where that is known.
 * `relative`: how long ago it is.
 */
export function Time(props: {
  at: string | null | undefined;
  relative?: boolean;
  zone?: string | undefined;
  none?: string;
}) {
  const clock = useNow();
  if (!props.at) return <>{props.none ?? "—"}</>;
  const at = new Date(props.at);
  return (
    <time dateTime={props.at} title={hover(at, props.zone)}>
      {props.relative ? ago(at, clock) : inZone(at)}
    </time>
  );
}

function hover(at: Date, zone: string | undefined): string {
  const lines = [inZone(at), `${inZone(at, "UTC")} UTC`];
  if (zone) lines.push(`${inZone(at, zone)} ${zone}`);
  return lines.join("\n");
}
