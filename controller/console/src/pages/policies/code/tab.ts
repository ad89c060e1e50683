import { EditorSelection, Prec, type Extension } from "@codemirror/state";
import { keymap, type Command } from "@codemirror/view";

/** YAML nests by two columns, and knows no tabs. */
const STEP = "  ";

/** Tab moves what is chosen two columns to the right; Escape before it lets Tab leave the editor. */
const indent: Command = (view) => {
  const { state } = view;
  const change = state.changeByRange((range) => {
    if (range.empty) {
      const column = range.from - state.doc.lineAt(range.from).from;
      const insert = column % 2 ? " " : STEP;
      const cursor = EditorSelection.cursor(range.from + insert.length);
      return { changes: { from: range.from, insert }, range: cursor };
    }
    const first = state.doc.lineAt(range.from).number;
    const last = state.doc.lineAt(range.to).number;
    const changes = [];
    for (let line = first; line <= last; line += 1) {
      changes.push({ from: state.doc.line(line).from, insert: STEP });
    }
    const width = STEP.length * changes.length;
    return { changes, range: EditorSelection.range(range.from + STEP.length, range.to + width) };
  });
  view.dispatch(state.update(change, { userEvent: "input.indent", scrollIntoView: true }));
  return true;
};

/** Shift and Tab move it back. */
const dedent: Command = (view) => {
  const { state } = view;
  const lines = new Set<number>();
  for (const range of state.selection.ranges) {
    const last = state.doc.lineAt(range.to).number;
    for (let line = state.doc.lineAt(range.from).number; line <= last; line += 1) lines.add(line);
  }
  const changes = [...lines].flatMap((number) => {
    const line = state.doc.line(number);
    const width = /^ {0,2}/.exec(line.text)?.[0].length ?? 0;
    return width ? [{ from: line.from, to: line.from + width }] : [];
  });
  if (changes.length > 0) view.dispatch({ changes, userEvent: "delete.dedent" });
  return true;
};

/** What the key Tab does. While completions are open it takes the chosen one, as elsewhere. */
export const tabKeys: Extension = Prec.low(keymap.of([{ key: "Tab", run: indent, shift: dedent }]));
