import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, use, useCallback, useEffect, useMemo, useState, type ReactNode } from "react";
import { api, body, setCsrf, whenSessionEnds } from "./client";
import { ApiError } from "./problem";
import type { components } from "./schema";

/** What a user may do; each may do what those before may. */
export type Role = components["schemas"]["Role"];
/** The user of the session. */
export type Who = components["schemas"]["WhoAmI"] & { role: Role };

const ORDER: Role[] = ["viewer", "operator", "approver", "admin"];

/** Whether a role is enough. */
export function isEnough(role: Role, least: Role): boolean {
  return ORDER.indexOf(role) >= ORDER.indexOf(least);
}

interface Session {
  /** Nobody is signed in: null; not known yet: undefined. */
  who: Who | null | undefined;
  /** Why it is not known, if the controller does not answer. */
  error: unknown;
  /** The session ended while somebody worked: they sign in again over what they had open. */
  expired: boolean;
  signIn(user: string, password: string): Promise<void>;
  signOut(): Promise<void>;
}

const Context = createContext<Session | null>(null);

/** Gives the session to everything below. */
export function SessionProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [expired, setExpired] = useState(false);
  const query = useQuery({
    queryKey: ["whoami"],
    queryFn: async (): Promise<Who | null> => {
      try {
        const who = await body(api.GET("/api/v1/whoami"));
        setCsrf(who.csrf_token ?? undefined);
        return { ...who, role: who.role ?? "viewer" };
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return null;
        throw error;
      }
    },
    staleTime: 60_000,
  });
  const [last, setLast] = useState<Who>();
  if (query.data && query.data !== last) setLast(query.data);
  // Whoever was signed in and is not any more has a page open that is kept.
  const lost = query.data === null && last !== undefined;

  useEffect(() => {
    whenSessionEnds(() => setExpired(true));
    return () => whenSessionEnds(undefined);
  }, []);

  const signIn = useCallback(
    async (user: string, password: string) => {
      const reply = await body(
        api.POST("/api/v1/login", { params: { query: { cookie: true } }, body: { user, password } }),
      );
      setCsrf(reply.csrf_token ?? undefined);
      setExpired(false);
      if (last && last.user !== user) client.clear();
      await client.invalidateQueries();
    },
    [client, last],
  );
  const signOut = useCallback(async () => {
    try {
      await api.POST("/api/v1/logout");
    } finally {
      // Nothing of one user's is kept for the next.
      setCsrf(undefined);
      setLast(undefined);
      setExpired(false);
      client.clear();
      client.setQueryData(["whoami"], null);
    }
  }, [client]);

  const who = query.data ?? (lost || expired ? last : query.data);
  const value = useMemo(
    () => ({ who, error: query.error, expired: expired || lost, signIn, signOut }),
    [who, query.error, expired, lost, signIn, signOut],
  );
  return <Context value={value}>{children}</Context>;
}

/** The session. */
export function useSession(): Session {
  const session = use(Context);
  if (!session) throw new Error("useSession is used outside of SessionProvider");
  return session;
}

/** Whether the user has this role at least. */
export function useMay(least: Role): boolean {
  const { who } = useSession();
  return who ? isEnough(who.role, least) : false;
}
