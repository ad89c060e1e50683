import { useSyncExternalStore } from "react";

/** Header of answers while everybody has to know something: that the licence needs care, or what is up with the controller. */
const HEADER = "muster-notice";
/** What the text begins with where it is about the controller itself, and not about the licence. */
const CONTROLLER = "controller: ";
/** Longer ones are cut: it is one line. */
const LONGEST = 400;
/** What anybody may ask for is answered without it. */
const SILENT = ["/api/v1/login", "/api/v1/schemas/policy"];

/** What everybody has to know. */
export interface Notice {
  about: "controller" | "licence";
  text: string;
}

let notice: Notice | undefined;
const listeners = new Set<() => void>();

/** Notes what an answer says; a refusal that says nothing leaves what was said before. */
export function hear(request: Request, response: Response): void {
  const said = response.headers.get(HEADER)?.trim();
  if (!said && (!response.ok || SILENT.includes(new URL(request.url).pathname))) return;
  const next = said ? noticeOf(said) : undefined;
  if (next?.text === notice?.text && next?.about === notice?.about) return;
  notice = next;
  listeners.forEach((tell) => tell());
}

function noticeOf(said: string): Notice {
  const about = said.startsWith(CONTROLLER) ? "controller" : "licence";
  const text = about === "controller" ? said.slice(CONTROLLER.length) : said;
  return { about, text: text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text };
}

/** What everybody has to know now. */
export function useNotice(): Notice | undefined {
  return useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => notice,
  );
}
