/** Seconds as people write them: `90 s`, `10 min`, `1 h`, `1 h 30 min`; and back. */

const UNITS: readonly [string, number][] = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
];

/** `5400` as `1 h 30 min`. */
export function spanWords(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const whole = Math.floor(rest / size);
    if (whole) parts.push(`${String(whole)} ${unit}`);
    rest -= whole * size;
  }
  return parts.join(" ") || "0 s";
}

/** What somebody wrote, in seconds; a number without a unit are minutes. `undefined`: it cannot be read. */
export function readSpan(text: string): number | undefined {
  const words = text.trim().toLowerCase();
  if (/^\d+$/.test(words)) return Number(words) * 60;
  const part = /\s*(\d+)\s*(d|h|min|m|s)\s*/gy;
  let sum = 0;
  let end = 0;
  for (let found = part.exec(words); found; found = part.exec(words)) {
    const unit = found[2] === "m" ? "min" : found[2];
    sum += Number(found[1]) * (UNITS.find(([name]) => name === unit)?.[1] ?? 0);
    end = part.lastIndex;
  }
  return words && end === words.length ? sum : undefined;
}
