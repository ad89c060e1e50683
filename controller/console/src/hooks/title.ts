import { useEffect } from "react";
import { texts } from "@/texts";

/** Names the browser's tab after the page. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === texts.shell.product ? title : `${title} · ${texts.shell.product}`;
  }, [title]);
}
