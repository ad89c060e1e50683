import { api } from "@/api/client";
import type { components } from "@/api/schema";
import type { Proposal } from "./data";

type Published = components["schemas"]["PolicyPublished"];

/** What became of an order: it was done, or a second person must approve it. */
export type Outcome = { done: Published; proposal?: undefined } | { done?: undefined; proposal: Proposal };

/** Tells the two answers apart by their status: 202 is a proposal. */
async function outcome(
  answer: Promise<{ data?: Published | Proposal; response: Response }>,
): Promise<Outcome> {
  const { data, response } = await answer;
  return response.status === 202 ? { proposal: data as Proposal } : { done: data as Published };
}

const ifMatch = (tag: string) => ({ "if-match": tag });

/** Why something is published, if anything was said. */
const why = (comment: string) => (comment ? { comment } : {});

/** Publishes a draft that is saved. */
export function publishDraft(name: string, etag: string, comment: string): Promise<Outcome> {
  const params = { path: { name }, query: why(comment) };
  return outcome(api.POST("/api/v1/drafts/{name}/publish", { params, headers: ifMatch(etag) }));
}

/** Publishes the text of an older revision again. */
export function revert(name: string, to: number, current: number, comment: string): Promise<Outcome> {
  const params = { path: { name } };
  // A policy that was removed has no revision in force that could be matched.
  const headers = current > 0 ? ifMatch(`"${String(current)}"`) : {};
  return outcome(
    api.POST("/api/v1/policies/{name}/revert", { params, headers, body: { to, ...why(comment) } }),
  );
}

/** Removes a policy by a new revision. */
export function remove(name: string, current: number, comment: string): Promise<Outcome> {
  const params = { path: { name }, query: why(comment) };
  const headers = ifMatch(`"${String(current)}"`);
  return outcome(api.DELETE("/api/v1/policies/{name}", { params, headers }));
}
