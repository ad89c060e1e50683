import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";

/** Labels as the controller has them. */
export type Labels = Record<string, string>;

/** What a key or a value may be: as a policy's selector can name it. */
const PART = /^[A-Za-z0-9\-_./]{1,63}$/;

/** Reads `env=prod, site=zurich`; absent where something is no label, or a key has two values. */
export function readLabels(text: string): Labels | undefined {
  const labels: Labels = {};
  const parts = text
    .replace(/\s*=\s*/g, "=")
    .split(/[\s,;]+/)
    .filter(Boolean);
  for (const part of parts) {
    const [key = "", value = "", ...rest] = part.split("=");
    if (rest.length || !PART.test(key) || !PART.test(value)) return undefined;
    if ((labels[key] ?? value) !== value) return undefined;
    labels[key] = value;
  }
  return labels;
}

/** `env=test, site=berlin`. */
export function labelWords(labels: Readonly<Labels>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}

/** By key and value, how many partitions have a label. */
export type LabelCounts = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** The labels of the fleet, counted over all of it. They change seldom, and no event makes them old. */
export function useLabelCounts(wanted = true) {
  return useQuery({
    queryKey: ["label-counts"],
    queryFn: ({ signal }) =>
      body(api.GET("/api/v1/fleet/partitions", { params: { query: { limit: 0 } }, signal })),
    enabled: wanted,
    staleTime: 60_000,
    select: ({ facets }): LabelCounts => facets.labels,
  });
}
