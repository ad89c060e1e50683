import { hoverTooltip } from "@codemirror/view";
import { keyAt } from "../schema/place";
import { describeAt, type Schema } from "../schema/walk";

/** What a key is for, where the pointer rests on it. */
export function policyHints(schema: Schema) {
  return hoverTooltip((view, pos) => {
    const path = keyAt(view.state.doc.toString(), pos);
    const text = path ? describeAt(schema, path) : "";
    if (!text) return null;
    const create = () => {
      const dom = document.createElement("div");
      dom.className = "cm-hint";
      dom.textContent = text;
      return { dom };
    };
    return { pos, above: true, create };
  });
}
