import { useQuery } from "@tanstack/react-query";
import { all, api, tagged } from "@/api/client";
import type { components } from "@/api/schema";

export type UserView = components["schemas"]["UserView"];
export type SessionView = components["schemas"]["SessionView"];
export type ApiTokenView = components["schemas"]["ApiTokenView"];
export type ApiTokenCreated = components["schemas"]["ApiTokenCreated"];
export type Scope = components["schemas"]["Scope"];

const PAGE = 1_000;
const page = (cursor: string | undefined) => ({ params: { query: { limit: PAGE, cursor } } });

/** All users; only an admin may ask. */
export function useUsers() {
  return useQuery({
    queryKey: ["users", "list"],
    queryFn: () => all((cursor) => api.GET("/api/v1/users", page(cursor))),
  });
}

/** One user with the tag that a change has to name. It is kept while a dialog is open, whatever others do. */
export function useTaggedUser(user: string) {
  return useQuery({
    queryKey: ["user-in-hand", user],
    queryFn: () => tagged(api.GET("/api/v1/users/{user}", { params: { path: { user } } })),
    staleTime: 0,
    gcTime: 0,
  });
}

/** Open sessions: the own ones, an admin's of all. */
export function useSessions() {
  return useQuery({
    queryKey: ["users", "sessions"],
    queryFn: async () => {
      const sessions = await all((cursor) => api.GET("/api/v1/sessions", page(cursor)));
      return sessions.sort(
        (a, b) =>
          Number(b.current ?? false) - Number(a.current ?? false) || b.created_at.localeCompare(a.created_at),
      );
    },
  });
}

/** API tokens: the own ones, an admin's of all. */
export function useApiTokens() {
  return useQuery({
    queryKey: ["users", "api-tokens"],
    queryFn: async () => {
      const tokens = await all((cursor) => api.GET("/api/v1/api-tokens", page(cursor)));
      return tokens.sort((a, b) => b.created_at.localeCompare(a.created_at));
    },
  });
}
