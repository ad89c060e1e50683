import { useMemo } from "react";
import { useSearchParams } from "wouter";

/** What is looked for, as it stands in the address. */
export interface Filters {
  search: string;
  actor: string;
  action: string;
  object: string;
  /** Local times, as a field for date and time writes them: `2026-11-25T18:00`. */
  since: string;
  until: string;
}

/** The words of the address. */
export const FIELDS = ["search", "actor", "action", "object", "since", "until"] as const;

function timestamp(local: string): string | undefined {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

/** What the controller is asked. */
export function asked(filters: Filters) {
  const text = (value: string) => value.trim() || undefined;
  return {
    search: text(filters.search),
    actor: text(filters.actor),
    action: text(filters.action),
    object: text(filters.object),
    since: timestamp(filters.since),
    until: timestamp(filters.until),
  };
}

/** The search of the address, and how to change it: a step of Back for a search, not for every letter. */
export function useFilters() {
  const [params, setParams] = useSearchParams();
  const filters = useMemo(() => {
    const get = (field: keyof Filters) => params.get(field) ?? "";
    return {
      search: get("search"),
      actor: get("actor"),
      action: get("action"),
      object: get("object"),
      since: get("since"),
      until: get("until"),
    };
  }, [params]);
  const set = (next: Partial<Filters>) =>
    setParams((before) => {
      const after = new URLSearchParams(before);
      for (const field of FIELDS) {
        const value = next[field];
        if (value === undefined) continue;
        if (value.trim()) after.set(field, value);
        else after.delete(field);
      }
      return after;
    });
  const open = params.get("entry");
  const show = (sequence: number | undefined) =>
    setParams((before) => {
      const after = new URLSearchParams(before);
      if (sequence) after.set("entry", String(sequence));
      else after.delete("entry");
      return after;
    });
  return { filters, set, entry: open ? Number(open) : undefined, show };
}
