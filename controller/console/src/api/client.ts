import createClient, { type Middleware } from "openapi-fetch";
import { texts } from "@/texts";
import { hear } from "./notice";
import { ApiError, problemOf } from "./problem";
import type { paths } from "./schema";

/** Told when a request is refused for want of a session. */
type Ended = () => void;

let csrf: string | undefined;
let onEnded: Ended | undefined;

/** What every change must carry; told by sign-in and `whoami`. */
export function setCsrf(token: string | undefined): void {
  csrf = token;
}

/** Whom to tell that the session has ended. */
export function whenSessionEnds(tell: Ended | undefined): void {
  onEnded = tell;
}

/** Codes of a 401 that mean that the session has ended; that of a mistyped password does not. */
const ENDED = ["no-session", "no-credential"];

const middleware: Middleware = {
  onRequest({ request }) {
    if (csrf && request.method !== "GET") request.headers.set("x-muster-csrf", csrf);
    return request;
  },
  async onResponse({ request, response }) {
    hear(request, response);
    if (response.ok) return response;
    let body: unknown;
    try {
      body = await response.clone().json();
    } catch {
      body = undefined;
    }
    const problem = problemOf(response.status, body);
    if (problem.status === 401 && ENDED.includes(problem.code)) onEnded?.();
    throw problem;
  },
  onError({ request, error }) {
    if (error instanceof ApiError) return error;
    // What is shown is asked for again; what somebody wanted done is not.
    const { unreachable, triesAgain } = texts.common;
    return new ApiError(
      0,
      "network",
      request.method === "GET" ? `${unreachable} ${triesAgain}` : unreachable,
    );
  },
};

/** The controller's interface, typed by its OpenAPI document. Every failure is thrown as an {@link ApiError}. */
export const api = createClient<paths>({ baseUrl: window.location.origin });
api.use(middleware);

/** The body of an answer; failures were thrown before. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data } = await answer;
  return data as T;
}

/** An answer's body with its tag, for a change with `If-Match`. */
export async function tagged<T>(answer: Promise<{ data?: T; response: Response }>) {
  const { data, response } = await answer;
  return { data: data as T, etag: response.headers.get("etag") ?? undefined };
}

/** All pages of a list; `most` bounds what a page of the console shows. */
export async function all<T>(
  page: (cursor: string | undefined) => Promise<{ data?: { items: T[]; next?: string | null | undefined } }>,
  most = 5_000,
): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const { data } = await page(cursor);
    items.push(...(data?.items ?? []));
    cursor = data?.next ?? undefined;
  } while (cursor && items.length < most);
  return items;
}
