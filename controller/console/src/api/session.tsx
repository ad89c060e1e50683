import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, use, useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { api, body, setCsrf, whenSessionEnds } from "./client";
import { ApiError, isFinal } from "./problem";
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

const WHOAMI = ["whoami"];
/** Longest pause before the controller is asked again who this is. */
const AGAIN_MS = 5_000;

/** Gives the session to everything below. */
export function SessionProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [expired, setExpired] = useState(false);
  const [last, setLast] = useState<Who>();
  const whose = useRef<string>(undefined);
  const query = useQuery({
    queryKey: WHOAMI,
    queryFn: async (): Promise<Who | null> => {
      try {
        const who = await body(api.GET("/api/v1/whoami"));
        setCsrf(who.csrf_token ?? undefined);
        // Another tab may have signed in; as somebody else, nothing of the one before is shown to them.
        setExpired(false);
        if (whose.current !== undefined && whose.current !== who.user) {
          client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== WHOAMI[0] });
        }
        whose.current = who.user;
        return { ...who, role: who.role ?? "viewer" };
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return null;
        throw error;
      }
    },
    staleTime: 60_000,
    refetchOnWindowFocus: "always",
    // Without an answer there is no page to show: it is asked for until it comes.
    retry: (count, error) =>
      !isFinal(error) && (count < 2 || client.getQueryData<Who | null>(WHOAMI) === undefined),
    retryDelay: (count) => Math.min(1_000 * 2 ** count, AGAIN_MS),
  });
  if (query.data && query.data !== last) setLast(query.data);
  // Whoever was signed in and is not any more has a page open that is kept.
  const lost = query.data === null && last !== undefined;

  useEffect(() => {
    whenSessionEnds(() => {
      // What a page still sends while it closes after signing out is refused: nobody has to sign in again for that.
      if (client.getQueryData<Who | null>(WHOAMI)) setExpired(true);
    });
    return () => whenSessionEnds(undefined);
  }, [client]);

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
      whose.current = undefined;
      setExpired(false);
      client.clear();
      client.setQueryData(WHOAMI, null);
    }
  }, [client]);

  const who = query.data ?? (lost || expired ? (last ?? query.data) : query.data);
  const error = query.error ?? query.failureReason;
  const value = useMemo(
    () => ({ who, error, expired: expired || lost, signIn, signOut }),
    [who, error, expired, lost, signIn, signOut],
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
