import { inZone } from "@/hooks/format";
import { hover } from "../time";
import type { EventView } from "./store";

/** What a column of its own shows, or nobody reads in a line. */
const ELSEWHERE = new Set(["user", "raw", "subtype", "blank_tail", "lease_epoch"]);
/** What tells most, in this order; the others follow. */
const FIRST = [
  "object_library",
  "object_name",
  "object_type",
  "path",
  "target_user",
  "command",
  "message",
  "remote_address",
  "program",
  "job_name",
  "job_user",
];
/** The cell is cut anyway. */
const MOST_FIELDS = 12;

/** The fields of an event in a line. */
export function summary({ fields = {} }: EventView): string {
  const rest = Object.keys(fields).filter((key) => !FIRST.includes(key) && !ELSEWHERE.has(key));
  return [...FIRST.filter((key) => key in fields), ...rest]
    .slice(0, MOST_FIELDS)
    .map((key) => `${key}=${fields[key] ?? ""}`)
    .join("  ");
}

/** The time of an event to the millisecond, in the viewer's zone; in full, in UTC and on the partition's clock on hover. */
export function EventTime({ event, full = false }: { event: EventView; full?: boolean }) {
  const at = event.time;
  const date = new Date(at);
  const text = `${inZone(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  return (
    <time dateTime={at} title={hover(date, event.utc_offset_seconds)}>
      {full ? text : text.slice(11)}
    </time>
  );
}
