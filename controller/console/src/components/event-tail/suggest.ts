import type { TailEvent } from "./store";

/** What the filter knows besides fields, and the fields that are asked for most. */
const USUAL = [
  "type",
  "user",
  "source",
  "severity",
  "verdict",
  "target_user",
  "remote_address",
  "object_library",
  "object_name",
  "object_type",
  "path",
  "command",
  "program",
  "program_library",
  "job_name",
  "job_user",
  "job_number",
  "device_name",
  "message_id",
  "message_queue",
  "exit_point",
  "outcome",
  "system_value",
];
/** More are no help. */
const MOST_VALUES = 50;

/** Fields to filter by: the usual ones, then those of the events that came. */
export function keywords(rows: readonly TailEvent[]): string[] {
  const seen = new Set(rows.flatMap(({ event }) => Object.keys(event.fields ?? {})));
  USUAL.forEach((keyword) => seen.delete(keyword));
  return [...USUAL, ...[...seen].sort()];
}

/** Values that a field had in the events that came, the most frequent first. */
export function valuesOf(rows: readonly TailEvent[], field: string): string[] {
  if (field === "verdict") return ["kept", "dropped"];
  if (field === "severity") return ["10", "9", "8", "7", "6", "5", "4", "3", "2", "1"];
  const counts = new Map<string, number>();
  for (const { event } of rows) {
    const value = field === "type" ? event.event : field === "source" ? event.source : event.fields?.[field];
    if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, MOST_VALUES)
    .map(([value]) => value);
}
