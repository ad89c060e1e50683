import { useEffect, useRef, useState } from "react";
import type { LiveState } from "./live";
import { problemOf, type ApiError } from "./problem";

/**
 * Follows a stream of server-sent events of one purpose, such as a live tail, while `url` is set. It comes back by itself
 * after a break; `refusal` tells why a controller refused it.
 */
export function useEventStream<T>(
  url: string | undefined,
  kinds: readonly string[],
  take: (item: T) => void,
) {
  const [state, setState] = useState<LiveState>("connecting");
  const [refusal, setRefusal] = useState<ApiError>();
  const taker = useRef(take);
  useEffect(() => {
    taker.current = take;
  });
  const names = kinds.join(" ");
  useEffect(() => {
    if (!url) return undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    let source: EventSource | undefined;
    let gone = false;
    const open = () => {
      setState("connecting");
      source = new EventSource(url);
      source.onopen = () => {
        setState("live");
        setRefusal(undefined);
      };
      source.onerror = () => {
        setState("broken");
        if (source?.readyState !== EventSource.CLOSED) return;
        // The reason of a refusal is not told to an EventSource; a plain request gets it.
        void why(url).then((problem) => {
          if (gone) return;
          setRefusal(problem);
          // Asked again unchanged, a filter that has no meaning would get none.
          if (!problem || !FINAL.includes(problem.status)) again = setTimeout(open, 5_000);
        });
      };
      for (const kind of names.split(" ")) {
        source.addEventListener(kind, (event) => taker.current(JSON.parse(String(event.data)) as T));
      }
    };
    open();
    return () => {
      gone = true;
      clearTimeout(again);
      source?.close();
      // Once it is opened again, it is not live until it says so.
      setState("connecting");
    };
  }, [url, names]);
  return { state, refusal };
}

/** Refusals that stay until something else is asked for. */
const FINAL = [400, 403, 404];

/** Why it was refused; nothing where there is no answer, or none of a refusal any more. */
async function why(url: string): Promise<ApiError | undefined> {
  const stop = new AbortController();
  try {
    const answer = await fetch(url, { signal: stop.signal, headers: { accept: "application/json" } });
    if (answer.ok) {
      stop.abort();
      return undefined;
    }
    return problemOf(answer.status, await answer.json());
  } catch {
    return undefined;
  }
}
