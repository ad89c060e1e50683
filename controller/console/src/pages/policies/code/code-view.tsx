import { yaml } from "@codemirror/lang-yaml";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { minimalSetup } from "codemirror";
import { foldGutter } from "@codemirror/language";
import { lineNumbers } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { useTheme } from "@/hooks/theme";
import { shadowOf } from "./shadow";
import { lookOf } from "./theme";

/** What code that nobody edits has in common. */
export function readOnly(label: string): Extension {
  return [
    minimalSetup,
    lineNumbers(),
    foldGutter(),
    yaml(),
    EditorState.readOnly.of(true),
    EditorView.contentAttributes.of({ "aria-label": label, "aria-readonly": "true" }),
    EditorView.lineWrapping,
  ];
}

/** A YAML text to be read and copied. */
export default function CodeView({ text, label }: { text: string; label: string }) {
  const host = useRef<HTMLDivElement>(null);
  const { shown } = useTheme();
  const look = useRef(new Compartment());
  const view = useRef<EditorView>(null);
  useEffect(() => {
    if (!host.current) return undefined;
    const theme = document.documentElement.dataset["theme"] === "dark" ? "dark" : "light";
    const root = shadowOf(host.current);
    const extensions = [readOnly(label), look.current.of(lookOf(theme))];
    view.current = new EditorView({ doc: text, extensions, root, parent: root });
    return () => view.current?.destroy();
  }, [text, label]);
  useEffect(() => {
    view.current?.dispatch({ effects: look.current.reconfigure(lookOf(shown)) });
  }, [shown]);
  return <div className="code code-read" ref={host} />;
}
