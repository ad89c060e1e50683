import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { check, type Check } from "../data";

/** Pause after the last letter before the controller is asked. */
const PAUSE_MS = 500;

/** A value that has not changed for a while. */
function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** What the controller says of a text while it is written. `fresh`: it is about the text as it stands. */
export function useCheck(text: string): { found: Check | undefined; error: unknown; fresh: boolean } {
  const settled = useSettled(text);
  const { data, error, isPlaceholderData, isFetching } = useQuery({
    // Other policies count as well: it is checked anew when one is published.
    queryKey: ["policies", "check", settled],
    queryFn: () => check(settled),
    placeholderData: keepPreviousData,
    gcTime: 10_000,
  });
  return { found: data, error, fresh: settled === text && !isPlaceholderData && !isFetching };
}
