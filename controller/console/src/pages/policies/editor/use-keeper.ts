import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useState, useSyncExternalStore } from "react";
import { api, tagged } from "@/api/client";
import { useSession } from "@/api/session";
import { asYaml, currentQuery, draftsQuery, readDraft, type RevisionView } from "../data";
import { Keeper, type Beginning, type Ports, type Stored } from "./keeper";
import { forget, keep, readKept } from "./kept";

/** The draft of that name, if there is one. It is looked for in the list: a miss is no error there. */
async function stored(client: QueryClient, name: string): Promise<Stored | undefined> {
  const drafts = await client.fetchQuery({ ...draftsQuery, staleTime: 0 });
  if (!drafts.some((draft) => draft.name === name)) return undefined;
  const { data, etag } = await readDraft(name);
  return { text: data.text, draft: data.draft, etag: etag ?? "" };
}

/** What an editor begins with: the draft, else the policy in force. */
export async function beginning(
  client: QueryClient,
  user: string,
  name: string,
  policy: RevisionView | undefined,
): Promise<Beginning | null> {
  const found = await stored(client, name);
  const unsaved = readKept(user, name);
  if (found) {
    return {
      text: found.text,
      etag: found.etag,
      base: Number(found.draft.base),
      draft: found.draft,
      unsaved,
    };
  }
  if (policy && !policy.removed) {
    const { data } = await client.fetchQuery({ ...currentQuery(name), staleTime: 0 });
    const base = Number(data.revision.revision);
    return { text: data.text, etag: undefined, base, draft: undefined, unsaved };
  }
  // The draft was discarded elsewhere while something typed was not saved: that is not thrown away.
  return unsaved ? { text: "", etag: undefined, base: 0, draft: undefined, unsaved } : null;
}

function portsOf(client: QueryClient, user: string, name: string): Ports {
  return {
    put: async (text, etag, base) => {
      const answer = await tagged(
        api.PUT("/api/v1/drafts/{name}", {
          params: { path: { name }, query: { base } },
          bodySerializer: asYaml.bodySerializer,
          headers: { ...asYaml.headers, ...(etag ? { "if-match": etag } : { "if-none-match": "*" }) },
          body: text,
        }),
      );
      void client.invalidateQueries({ queryKey: ["drafts"] });
      return answer;
    },
    get: () => stored(client, name),
    keep: (kept) => keep(user, name, kept),
    forget: () => forget(user, name),
  };
}

/** Keeps a draft saved while its editor is open. */
export function useKeeper(name: string, start: Beginning) {
  const client = useQueryClient();
  const { who, expired } = useSession();
  const user = who?.user ?? "";
  const [keeper] = useState(() => new Keeper(start, portsOf(client, user, name)));
  const standing = useSyncExternalStore(keeper.subscribe, keeper.snapshot);
  // What an ended session, or a reload, held up.
  useEffect(() => {
    if (!expired) void keeper.save();
  }, [keeper, expired]);
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => {
      if (keeper.dirty) event.preventDefault();
    };
    window.addEventListener("beforeunload", warn);
    return () => {
      window.removeEventListener("beforeunload", warn);
      void keeper.save();
    };
  }, [keeper]);
  return { keeper, standing };
}
