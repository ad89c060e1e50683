import { useMemo } from "react";
import { useAddress } from "@/hooks/address";
import { inZone } from "@/hooks/format";

/** What is looked for, as it stands in the address. */
export interface Filters {
  search: string;
  actor: string;
  action: string;
  object: string;
  /** Moments in UTC, so that a link means the same to whoever opens it: `2026-11-25T17:00:00.000Z`. */
  since: string;
  until: string;
}

/** The words of the address. */
export const FIELDS = ["search", "actor", "action", "object", "since", "until"] as const;

function timestamp(text: string): string | undefined {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

/** Whether a field is one of date and time, which writes a local time: `2026-11-25T18:00`. */
export function isTime(field: keyof Filters): boolean {
  return field === "since" || field === "until";
}

/** The search as its fields show it. */
export function typedOf(filters: Filters): Filters {
  const local = (text: string) => {
    const at = timestamp(text);
    return at ? inZone(new Date(at)).slice(0, 16).replace(" ", "T") : "";
  };
  return { ...filters, since: local(filters.since), until: local(filters.until) };
}

/** What was typed into a field, as it stands in the address. */
export function meant(field: keyof Filters, typed: string): string {
  return isTime(field) ? (timestamp(typed) ?? "") : typed.trim();
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

/** The search of the address, and how to change it. */
export function useFilters() {
  const [params, change] = useAddress();
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
  const set = (next: Partial<Filters>, replace: boolean) => change({ ...next }, replace);
  const open = params.get("entry");
  const show = (sequence: number | undefined) => change({ entry: sequence ? String(sequence) : undefined });
  return { filters, set, entry: open ? Number(open) : undefined, show };
}
