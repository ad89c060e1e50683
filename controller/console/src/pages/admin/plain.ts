/** A step of indentation. */
const STEP = "  ";

function isEmpty(value: unknown): boolean {
  return value === null || typeof value !== "object" || Object.keys(value).length === 0;
}

/**
 * A JSON value as lines that people read and compare, in the manner of YAML: texts of several lines stay such, which JSON
 * would fold into one.
 */
export function plain(value: unknown, indent = ""): string[] {
  if (value === undefined) return [];
  if (typeof value === "string") return value.split("\n").map((line) => indent + line);
  if (isEmpty(value)) return [indent + JSON.stringify(value)];
  if (Array.isArray(value)) {
    return value.flatMap((item: unknown) => {
      const [first = "", ...rest] = plain(item, indent + STEP);
      return [`${indent}- ${first.slice(indent.length + STEP.length)}`, ...rest];
    });
  }
  return Object.entries(value as Record<string, unknown>).flatMap(([key, item]) => {
    if (typeof item === "string" && !item.includes("\n")) return [`${indent}${key}: ${item}`];
    if (typeof item !== "string" && isEmpty(item)) return [`${indent}${key}: ${JSON.stringify(item)}`];
    return [`${indent}${key}:`, ...plain(item, indent + STEP)];
  });
}
