import { MergeView } from "@codemirror/merge";
import { Compartment } from "@codemirror/state";
import { useEffect, useRef } from "react";
import { useTheme } from "@/hooks/theme";
import { readOnly } from "./code-view";
import { shadowOf } from "./shadow";
import { lookOf } from "./theme";

/** A text and how it is called. */
export interface Side {
  label: string;
  text: string;
}

/** Lines from which on stretches without a difference are folded. */
const LONG = 150;

/** Two texts side by side, what differs marked; in long ones stretches that do not are folded. */
export default function SideBySide({ before, after }: { before: Side; after: Side }) {
  const host = useRef<HTMLDivElement>(null);
  const { shown } = useTheme();
  const merged = useRef<MergeView>(null);
  const look = useRef(new Compartment());
  const { label: beforeLabel, text: beforeText } = before;
  const { label: afterLabel, text: afterText } = after;
  useEffect(() => {
    if (!host.current) return undefined;
    const theme = document.documentElement.dataset["theme"] === "dark" ? "dark" : "light";
    const root = shadowOf(host.current);
    const long = Math.max(beforeText.split("\n").length, afterText.split("\n").length) > LONG;
    const view = new MergeView({
      a: { doc: beforeText, extensions: [readOnly(beforeLabel), look.current.of(lookOf(theme))] },
      b: { doc: afterText, extensions: [readOnly(afterLabel), look.current.of(lookOf(theme))] },
      root,
      parent: root,
      gutter: true,
      ...(long ? { collapseUnchanged: { margin: 3, minSize: 12 } } : {}),
    });
    merged.current = view;
    return () => view.destroy();
  }, [beforeLabel, beforeText, afterLabel, afterText]);
  useEffect(() => {
    const effects = look.current.reconfigure(lookOf(shown));
    merged.current?.a.dispatch({ effects });
    merged.current?.b.dispatch({ effects });
  }, [shown]);
  return (
    <div className="sides">
      <div className="sides-head" aria-hidden="true">
        <span>{beforeLabel}</span>
        <span>{afterLabel}</span>
      </div>
      <div className="code code-sides" ref={host} />
    </div>
  );
}
