import { setDiagnostics, type Diagnostic } from "@codemirror/lint";
import type { Text } from "@codemirror/state";
import type { EditorView } from "@codemirror/view";
import type { components } from "@/api/schema";

/** A fault of a policy with its place. */
export type Fault = components["schemas"]["PolicyFault"];

/** The offset of a fault; undefined where it has no single place. */
export function offsetOf(doc: Text, fault: Fault): number | undefined {
  if (fault.line < 1 || fault.line > doc.lines) return undefined;
  const line = doc.line(fault.line);
  return Math.min(line.from + Math.max(fault.column - 1, 0), line.to);
}

function mark(doc: Text, fault: Fault, severity: Diagnostic["severity"]): Diagnostic[] {
  const from = offsetOf(doc, fault);
  if (from === undefined) return [];
  const rest = doc.lineAt(from).text.slice(from - doc.lineAt(from).from);
  // The word at the place; an empty place would not be seen.
  const length = /^(- )?[^\s,:{}[\]]+/.exec(rest)?.[0].length ?? rest.length;
  const to = from + length;
  return [
    {
      from: to === from ? Math.max(doc.lineAt(from).from, from - 1) : from,
      to,
      severity,
      message: fault.message,
    },
  ];
}

/** Marks in the text what the controller found. */
export function showFaults(view: EditorView, faults: readonly Fault[], warnings: readonly Fault[]): void {
  const { doc } = view.state;
  const marks = [
    ...faults.flatMap((fault) => mark(doc, fault, "error")),
    ...warnings.flatMap((fault) => mark(doc, fault, "warning")),
  ];
  view.dispatch(setDiagnostics(view.state, marks));
}

/** Puts the cursor where a fault is. */
export function goTo(view: EditorView, fault: Fault): void {
  const anchor = offsetOf(view.state.doc, fault);
  if (anchor !== undefined) view.dispatch({ selection: { anchor }, scrollIntoView: true });
  view.focus();
}
