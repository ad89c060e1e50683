import {
  pickedCompletion,
  startCompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
  type CompletionSource,
} from "@codemirror/autocomplete";
import type { EditorView } from "@codemirror/view";
import { texts } from "@/texts";
import { entriesOf, placeAt, siblingsOf, type Place } from "../schema/place";
import type { Entry } from "../schema/scanner";
import { at, keys, values, type Offer, type Schema } from "../schema/walk";

/** Offers what the controller's schema allows at the cursor. */
export function policyCompletion(schema: Schema): CompletionSource {
  return (context) => complete(schema, context);
}

function complete(schema: Schema, context: CompletionContext): CompletionResult | null {
  const text = context.state.doc.toString();
  const place = placeAt(text, context.pos);
  if (!place || (!context.explicit && place.typed === "" && place.kind === "word" && !place.flow))
    return null;
  const entries = entriesOf(text);
  const options = place.kind === "value" ? [] : keyOptions(schema, place, entries);
  options.push(...valueOptions(schema, place), ...nameOptions(place, entries));
  if (options.length === 0) return null;
  return { from: place.from, options, validFor: /^[\w./*-]*$/ };
}

function keyOptions(schema: Schema, place: Place, entries: readonly Entry[]): Completion[] {
  const beside = siblingsOf(entries, place.path);
  const here = keys(schema, place.path, beside).map((offer) => option(offer, applyKey(offer, place, "")));
  const items = at(schema, place.path).some((form) => form.items);
  if (!items || place.flow || typeof place.path.at(-1) === "number") return here;
  // In a sequence an item is begun first.
  const first = keys(schema, [...place.path, 0], new Map());
  return [...here, ...first.map((offer) => option(offer, applyKey(offer, place, "- ")))];
}

function option(offer: Offer, apply: Completion["apply"]): Completion {
  const detail = texts.policies.editor.shapes[offer.shape];
  return {
    label: offer.name,
    type: "property",
    ...(detail ? { detail } : {}),
    ...(offer.description ? { info: offer.description } : {}),
    ...(apply ? { apply } : {}),
    boost: offer.required ? 1 : 0,
  };
}

/** Writes a key with what its value begins with, and puts the cursor there. */
function applyKey(offer: Offer, place: Place, dash: string) {
  return (view: EditorView, completion: Completion, from: number, to: number) => {
    const deeper = " ".repeat(place.indent + dash.length + 2);
    const opening: Record<Offer["shape"], [string, string]> = {
      mapping: place.flow ? [" {", "}"] : [`\n${deeper}`, ""],
      list: [" [", "]"],
      "list of mappings": place.flow ? [" [{", "}]"] : [`\n${deeper}- `, ""],
      text: [" ", ""],
      number: [" ", ""],
      "yes or no": [" ", ""],
      "": [" ", ""],
    };
    const [before, after] = opening[offer.shape];
    const head = `${dash}${offer.name}:${before}`;
    view.dispatch({
      changes: { from, to, insert: head + after },
      selection: { anchor: from + head.length },
      annotations: pickedCompletion.of(completion),
      userEvent: "input.complete",
    });
    startCompletion(view);
  };
}

function valueOptions(schema: Schema, place: Place): Completion[] {
  return values(schema, place.path).map((offer) => ({
    label: offer.name,
    type: "enum",
    ...(offer.description ? { info: offer.description } : {}),
  }));
}

/** Names that the document itself gives: destinations for routes, sources for conditions. */
function nameOptions(place: Place, entries: readonly Entry[]): Completion[] {
  const list = place.path.at(-2);
  if (typeof place.path.at(-1) !== "number") return [];
  const named = list === "destinations" || list === "sources" ? list : undefined;
  if (!named || place.path[1] === named) return [];
  return entries
    .filter(({ parent }) => parent.length === 2 && parent[0] === "spec" && parent[1] === named)
    .map(({ key }) => ({ label: key, type: "variable" }));
}
