import { yaml, yamlLanguage } from "@codemirror/lang-yaml";
import { lintGutter } from "@codemirror/lint";
import { Compartment, EditorState } from "@codemirror/state";
import { EditorView, keymap } from "@codemirror/view";
import { basicSetup } from "codemirror";
import { useEffect, useRef } from "react";
import { useTheme } from "@/hooks/theme";
import { texts } from "@/texts";
import type { Schema } from "../schema/walk";
import { policyCompletion } from "./complete";
import { showFaults, type Fault } from "./faults";
import { policyHints } from "./hint";
import { shadowOf } from "./shadow";
import { tabKeys } from "./tab";
import { lookOf } from "./theme";

interface Props {
  /** What stands in it when it is opened; later texts come by `view`. */
  initial: string;
  label: string;
  schema: Schema | undefined;
  faults: readonly Fault[];
  warnings: readonly Fault[];
  onChange: (text: string) => void;
  onSave: () => void;
  onView: (view: EditorView | null) => void;
}

function extensionsOf(latest: { readonly current: Props }) {
  const { label } = latest.current;
  const save = () => {
    latest.current.onSave();
    return true;
  };
  return [
    keymap.of([{ key: "Mod-s", run: save, preventDefault: true }]),
    basicSetup,
    tabKeys,
    yaml(),
    lintGutter(),
    EditorState.tabSize.of(2),
    EditorState.phrases.of(texts.policies.editor.phrases),
    EditorView.contentAttributes.of({ "aria-label": label }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) latest.current.onChange(update.state.doc.toString());
    }),
  ];
}

/**
 * The editor of a policy. The text is the editor's own while it is open: nothing from outside changes it but by
 * {@link Props.onView}, so that no answer that comes late takes away what was typed.
 */
export default function CodeEditor(props: Props) {
  const { schema, faults, warnings } = props;
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const latest = useRef(props);
  const look = useRef(new Compartment());
  const help = useRef(new Compartment());
  const { shown } = useTheme();
  useEffect(() => {
    latest.current = props;
  });
  useEffect(() => {
    if (!host.current) return undefined;
    const theme = document.documentElement.dataset["theme"] === "dark" ? "dark" : "light";
    const root = shadowOf(host.current);
    const extensions = [extensionsOf(latest), help.current.of([]), look.current.of(lookOf(theme))];
    const made = new EditorView({ doc: latest.current.initial, extensions, root, parent: root });
    view.current = made;
    latest.current.onView(made);
    return () => {
      latest.current.onView(null);
      made.destroy();
    };
  }, []);
  useEffect(() => {
    view.current?.dispatch({ effects: look.current.reconfigure(lookOf(shown)) });
  }, [shown]);
  useEffect(() => {
    const autocomplete = schema && policyCompletion(schema);
    const extension = schema ? [yamlLanguage.data.of({ autocomplete }), policyHints(schema)] : [];
    view.current?.dispatch({ effects: help.current.reconfigure(extension) });
  }, [schema]);
  useEffect(() => {
    if (view.current) showFaults(view.current, faults, warnings);
  }, [faults, warnings]);
  return <div className="code code-edit" ref={host} />;
}
