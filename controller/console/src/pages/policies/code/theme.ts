import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import type { Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const MONO = "'IBM Plex Mono', ui-monospace, monospace";

/** Carbon's tokens reach into the shadow root, so light and dark follow by themselves. */
const shape = {
  "&": {
    color: "var(--cds-text-primary)",
    backgroundColor: "var(--cds-field-01)",
    fontSize: "0.8125rem",
    height: "100%",
  },
  "&.cm-focused": { outline: "2px solid var(--cds-focus)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: MONO, lineHeight: "1.5" },
  ".cm-content": { caretColor: "var(--cds-text-primary)" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--cds-text-primary)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--cds-highlight) !important",
  },
  ".cm-gutters": {
    backgroundColor: "var(--cds-layer-01)",
    color: "var(--cds-text-secondary)",
    borderRight: "1px solid var(--cds-border-subtle-01)",
  },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLineGutter": { color: "var(--cds-text-primary)", fontWeight: "600" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--cds-layer-accent-01)" },
  ".cm-foldPlaceholder": {
    backgroundColor: "var(--cds-layer-accent-01)",
    border: "0",
    color: "var(--cds-text-primary)",
  },
};

/** What opens over the text: completions, hints, search. */
const overlays = {
  ".cm-tooltip": {
    backgroundColor: "var(--cds-layer-02)",
    color: "var(--cds-text-primary)",
    border: "1px solid var(--cds-border-subtle-02)",
    boxShadow: "0 2px 6px var(--cds-shadow)",
    fontFamily: "'IBM Plex Sans', sans-serif",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: MONO, maxHeight: "16rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "0.25rem 0.5rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": {
    backgroundColor: "var(--cds-background-selected)",
    color: "var(--cds-text-primary)",
    boxShadow: "inset 3px 0 var(--cds-border-interactive)",
  },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "600" },
  ".cm-completionDetail": { color: "var(--cds-text-secondary)", fontStyle: "normal" },
  ".cm-completionInfo, .cm-hint": { maxWidth: "24rem", padding: "0.5rem 0.75rem", whiteSpace: "pre-line" },
  ".cm-diagnostic": { padding: "0.375rem 0.75rem" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--cds-support-error)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--cds-support-warning)" },
  ".cm-panels": {
    backgroundColor: "var(--cds-layer-01)",
    color: "var(--cds-text-primary)",
    fontFamily: "'IBM Plex Sans', sans-serif",
  },
  ".cm-panel.cm-search input, .cm-panel.cm-search button, .cm-panel.cm-search label": {
    fontSize: "0.75rem",
    color: "var(--cds-text-primary)",
  },
  ".cm-panel input": {
    backgroundColor: "var(--cds-field-02)",
    border: "1px solid var(--cds-border-strong-01)",
  },
  ".cm-panel button": {
    backgroundImage: "none",
    backgroundColor: "var(--cds-layer-accent-01)",
    border: "1px solid var(--cds-border-strong-01)",
  },
  ".cm-searchMatch": { backgroundColor: "var(--cds-notification-background-warning)" },
};

/** What differs between two texts: lines by their ground, words by a line below them. */
const differences = (colours: { before: string; after: string }) => ({
  "&.cm-merge-a .cm-changedLine": { backgroundColor: colours.before },
  "&.cm-merge-b .cm-changedLine": { backgroundColor: colours.after },
  "&.cm-merge-a .cm-changedText": {
    background: "none",
    textDecoration: "underline 2px var(--cds-support-error)",
  },
  "&.cm-merge-b .cm-changedText": {
    background: "none",
    textDecoration: "underline 2px var(--cds-support-success)",
  },
  ".cm-collapsedLines": {
    background: "var(--cds-layer-accent-01)",
    color: "var(--cds-text-secondary)",
    padding: "0.25rem 0.75rem",
  },
  // Signs that our font lacks.
  ".cm-collapsedLines:before, .cm-collapsedLines:after": { content: "none" },
});

/** Colours of Carbon's palette with enough contrast on its fields. */
const COLOURS = {
  light: {
    key: "#0043ce",
    text: "#0e6027",
    number: "#8a3ffc",
    mark: "#525252",
    comment: "#6f6f6f",
    before: "#fff1f1",
    after: "#defbe6",
  },
  dark: {
    key: "#78a9ff",
    text: "#6fdc8c",
    number: "#be95ff",
    mark: "#c6c6c6",
    comment: "#a8a8a8",
    before: "#520408",
    after: "#022d0d",
  },
};

/** How code looks in a theme of the console. */
export function lookOf(theme: "light" | "dark"): Extension {
  const colours = COLOURS[theme];
  const highlight = HighlightStyle.define([
    { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: colours.key },
    { tag: [tags.string, tags.content, tags.attributeValue], color: colours.text },
    { tag: [tags.number, tags.bool, tags.keyword], color: colours.number },
    { tag: [tags.comment, tags.lineComment], color: colours.comment, fontStyle: "italic" },
    { tag: [tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: colours.mark },
  ]);
  return [
    EditorView.theme({ ...shape, ...overlays, ...differences(colours) }, { dark: theme === "dark" }),
    syntaxHighlighting(highlight),
  ];
}
