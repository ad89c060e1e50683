import { useSearchParams } from "wouter";

/** Words of the address with what they shall be; a text without letters, or none, takes the word away. */
export type Parts = Readonly<Record<string, string | undefined>>;

/**
 * What the address says behind its path, and how to change some of it while the rest stays. What is chosen is an entry of
 * the history, so that Back goes back to what was before; `replace`: it is typed, and only the last of it counts.
 */
export function useAddress() {
  const [params, setParams] = useSearchParams();
  const set = (parts: Parts, replace = false) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        for (const [name, value] of Object.entries(parts)) {
          if (value) after.set(name, value);
          else after.delete(name);
        }
        return after;
      },
      { replace },
    );
  return [params, set] as const;
}
