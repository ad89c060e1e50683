import { useEffect, useRef, useState } from "react";
import type { LiveState } from "./live";

/**
 * Follows a stream of server-sent events of one purpose, such as a live tail, while `url` is set. It comes back by itself
 * after a break; `error` tells the words of a controller that refused it.
 */
export function useEventStream<T>(
  url: string | undefined,
  kinds: readonly string[],
  take: (item: T) => void,
) {
  const [state, setState] = useState<LiveState>("connecting");
  const [error, setError] = useState<string>();
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
        setError(undefined);
      };
      source.onerror = () => {
        setState("broken");
        if (source?.readyState !== EventSource.CLOSED) return;
        // The reason of a refusal is not told to an EventSource; a plain request gets it.
        void why(url).then(({ words, final }) => {
          if (gone) return;
          setError(words);
          // Asked again unchanged, a filter that has no meaning would get none.
          if (!final) again = setTimeout(open, 5_000);
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
    };
  }, [url, names]);
  return { state, error };
}

/** Refusals that stay until something else is asked for. */
const FINAL = [400, 403, 404];

async function why(url: string): Promise<{ words?: string | undefined; final: boolean }> {
  const stop = new AbortController();
  try {
    const answer = await fetch(url, { signal: stop.signal, headers: { accept: "application/json" } });
    if (answer.ok) {
      stop.abort();
      return { final: false };
    }
    const problem = (await answer.json()) as { detail?: string };
    return { words: problem.detail, final: FINAL.includes(answer.status) };
  } catch {
    return { final: false };
  }
}
