import { texts } from "@/texts";

/** How numbers, times and spans are written. The language follows the browser. */
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
// Not the viewer's: in some English "m" is a million, which engineers read as a thousandth.
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** `12,345`; large ones short: `1.2M`. */
export function count(value: number): string {
  return Math.abs(value) < 100_000 ? whole.format(value) : compact.format(value);
}

/** Events per second. */
export function rate(perSecond: number): string {
  return perSecond < 10 ? tenth.format(perSecond) : count(perSecond);
}

/** A span of time: `3 s`, `5 min`, `2 h 10 min`, `4 d`. */
export function span(ms: number): string {
  const value = Math.abs(ms);
  if (value < SECOND) return `${whole.format(value)} ms`;
  if (value < MINUTE) return `${tenth.format(value / SECOND)} s`;
  if (value < HOUR) return `${whole.format(value / MINUTE)} min`;
  if (value < DAY) {
    const hours = Math.floor(value / HOUR);
    const minutes = Math.floor((value % HOUR) / MINUTE);
    return minutes ? `${String(hours)} h ${String(minutes)} min` : `${String(hours)} h`;
  }
  return `${whole.format(value / DAY)} d`;
}

/** `5 min ago`, `in 2 h`. */
export function ago(at: Date, now: number): string {
  const past = now - at.getTime();
  if (Math.abs(past) < 5 * SECOND) return texts.common.justNow;
  return past > 0 ? texts.common.ago(span(past)) : texts.common.ahead(span(past));
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** `2026-11-25 18:00:03` in a time zone; the viewer's unless one is given. An unknown zone gives UTC. */
export function inZone(at: Date, zone?: string): string {
  const key = zone ?? "";
  let format = formats.get(key);
  if (!format) {
    format = formatIn(zone);
    formats.set(key, format);
  }
  return format.format(at);
}

/** `2026-11-25 20:00:03 UTC+02:00`: a moment on a clock that is so many seconds ahead of UTC. */
export function withOffset(at: Date, seconds: number): string {
  const minutes = Math.round(Math.abs(seconds) / 60);
  const two = (n: number) => String(n).padStart(2, "0");
  const sign = seconds < 0 ? "−" : "+";
  const there = inZone(new Date(at.getTime() + seconds * 1_000), "UTC");
  return `${there} UTC${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

function formatIn(zone: string | undefined): Intl.DateTimeFormat {
  // The Swedish way is the one with year, month, day and 24 hours; it sorts, and no one mistakes month for day.
  const options = { dateStyle: "short", timeStyle: "medium" } as const;
  try {
    return new Intl.DateTimeFormat("sv-SE", zone ? { ...options, timeZone: zone } : options);
  } catch {
    return new Intl.DateTimeFormat("sv-SE", { ...options, timeZone: "UTC" });
  }
}

/** Bytes: `1.5 MB`. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let rest = value;
  let unit = 0;
  while (rest >= 1_000 && unit < units.length - 1) {
    rest /= 1_000;
    unit += 1;
  }
  return `${tenth.format(rest)} ${units[unit] ?? ""}`;
}
