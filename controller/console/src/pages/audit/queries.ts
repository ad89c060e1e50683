import {
  useInfiniteQuery,
  useQuery,
  useQueryClient,
  type InfiniteData,
  type QueryKey,
} from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { asked, type Filters } from "./filters";

export type AuditEntry = components["schemas"]["AuditEntry"];

/** Entries of a page. */
const PAGE = 100;
/** New entries that are looked at; beyond, the list is read anew. */
export const NEWER = 200;

interface Page {
  items: AuditEntry[];
  next?: string | null | undefined;
  /** The newest entry of the log when the page was read, whether it is looked for or not. */
  head: number;
}

type Pages = InfiniteData<Page, string | undefined>;

async function newest(): Promise<number> {
  const { items } = await body(api.GET("/api/v1/audit", { params: { query: { limit: 1 } } }));
  return items[0]?.sequence ?? 0;
}

/**
 * Entries, newest first, older ones as they are asked for. Its key is none that events make old: a list that somebody reads
 * does not move by itself. What is new comes by {@link useNewer}.
 */
export function useEntries(filters: Filters) {
  const queryKey: QueryKey = ["audit-list", filters];
  const query = useInfiniteQuery({
    queryKey,
    initialPageParam: undefined as string | undefined,
    queryFn: async ({ pageParam }): Promise<Page> => {
      // Before the page: an entry that comes between the two is shown as new, and not lost.
      const head = pageParam ? 0 : await newest();
      const page = await body(
        api.GET("/api/v1/audit", {
          params: { query: { ...asked(filters), limit: PAGE, cursor: pageParam } },
        }),
      );
      return { ...page, head };
    },
    getNextPageParam: (last) => last.next ?? undefined,
    staleTime: Infinity,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  return { query, queryKey };
}

/** How far back the log was looked through without a find: when the entry behind `next` was written. */
export function useReached(next: string | undefined) {
  return useQuery({
    queryKey: ["audit-reached", next],
    enabled: next !== undefined,
    staleTime: Infinity,
    queryFn: async () => {
      const { items } = await body(
        api.GET("/api/v1/audit", { params: { query: { cursor: next, limit: 1 } } }),
      );
      return items[0]?.at ?? null;
    },
  });
}

/** Entries that came since the list was read. */
export function useNewer(filters: Filters, head: number | undefined) {
  return useQuery({
    queryKey: ["audit", "newer", filters, head],
    enabled: head !== undefined,
    queryFn: async () => {
      const page = await body(
        api.GET("/api/v1/audit", {
          params: { query: { ...asked(filters), after: head ?? 0, limit: NEWER } },
        }),
      );
      return { items: page.items.toReversed(), more: Boolean(page.next) };
    },
  });
}

/** Puts new entries on top of the list that was read. */
export function useMerge(queryKey: QueryKey) {
  const client = useQueryClient();
  return (items: AuditEntry[], more: boolean) => {
    if (more) {
      void client.resetQueries({ queryKey });
      return;
    }
    client.setQueryData<Pages>(queryKey, (data) => {
      const [first, ...rest] = data?.pages ?? [];
      if (!data || !first) return data;
      const known = new Set(first.items.map((entry) => entry.sequence));
      const fresh = items.filter((entry) => !known.has(entry.sequence));
      const head = Math.max(first.head, items[0]?.sequence ?? 0);
      return { ...data, pages: [{ ...first, items: [...fresh, ...first.items], head }, ...rest] };
    });
  };
}

/** One entry; null if there is none of this number. */
export function useEntry(sequence: number) {
  return useQuery({
    queryKey: ["audit-entry", sequence],
    staleTime: Infinity,
    queryFn: async () => {
      const { items } = await body(
        api.GET("/api/v1/audit", { params: { query: { after: sequence - 1, limit: 1 } } }),
      );
      const found = items[0];
      return found?.sequence === sequence ? found : null;
    },
  });
}
