import { texts } from "@/texts";
import type { Step } from "./scanner";

/** As much of JSON Schema (draft 7) as the controller's schema of policies uses. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  if?: Schema;
  then?: Schema;
  definitions?: Record<string, Schema>;
}

/** Something that may be written at a place. */
export interface Offer {
  name: string;
  description: string;
  /** A word about what it takes: `text`, `list`, `number` … */
  shape: Shape;
  required: boolean;
}

/** What a value is made of. */
export type Shape = "mapping" | "list" | "list of mappings" | "text" | "number" | "yes or no" | "";

/** How deep references may lead; the schema of policies nests conditions within conditions. */
const DEEPEST = 12;

/** Every form that a schema allows, with references followed. */
export function forms(root: Schema, schema: Schema, depth = 0): Schema[] {
  if (depth > DEEPEST) return [];
  if (schema.$ref) {
    const target = root.definitions?.[schema.$ref.replace("#/definitions/", "")];
    return target ? forms(root, target, depth + 1) : [];
  }
  const deeper = [...(schema.allOf ?? []), ...(schema.oneOf ?? []), ...(schema.anyOf ?? [])];
  const own = schema.type !== undefined || schema.properties || schema.enum || schema.const !== undefined;
  const itself = own && schema.type !== "null" ? [schema] : [];
  return [...itself, ...deeper.filter((each) => !each.if).flatMap((each) => forms(root, each, depth + 1))];
}

/** The forms of the value at the end of a path. */
export function at(root: Schema, path: readonly Step[]): Schema[] {
  return path.reduce<Schema[]>(
    (here, step) => here.flatMap((schema) => below(schema, step)).flatMap((schema) => forms(root, schema)),
    forms(root, root),
  );
}

function below(schema: Schema, step: Step): Schema[] {
  if (typeof step === "number") return schema.items ? [schema.items] : [];
  const named = schema.properties?.[step];
  if (named) return [named];
  return typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : [];
}

/** The keys that a mapping may have besides those that it has; `beside` are its plain values. */
export function keys(root: Schema, path: readonly Step[], beside: ReadonlyMap<string, string>): Offer[] {
  return at(root, path).flatMap((schema) => {
    const excluded = excludedBy(schema, beside);
    return Object.entries(schema.properties ?? {})
      .filter(([name]) => !beside.has(name) && !excluded.has(name))
      .map(([name, property]) => ({
        name,
        description: describe(root, property),
        shape: shapeOf(root, property),
        required: schema.required?.includes(name) ?? false,
      }));
  });
}

/** Keys that the values beside them rule out: `framing` has no meaning beside `kind: udp`. */
function excludedBy(schema: Schema, beside: ReadonlyMap<string, string>): Set<string> {
  const excluded = new Set<string>();
  for (const { if: when, then } of schema.allOf ?? []) {
    if (!when || !holds(when, beside)) continue;
    for (const [name, property] of Object.entries(then?.properties ?? {})) {
      if (property.type === "null") excluded.add(name);
    }
  }
  return excluded;
}

function holds(when: Schema, beside: ReadonlyMap<string, string>): boolean {
  return Object.entries(when.properties ?? {}).every(
    ([name, { const: wanted }]) => beside.get(name) === wanted,
  );
}

/** The values that are known for a place. */
export function values(root: Schema, path: readonly Step[]): Offer[] {
  return at(root, path).flatMap((schema): Offer[] => {
    const offer = (value: unknown): Offer => ({
      name: String(value),
      description: schema.description ?? "",
      shape: "",
      required: false,
    });
    if (schema.const !== undefined) return [offer(schema.const)];
    if (schema.enum) return schema.enum.filter((value) => value !== null).map(offer);
    return schema.type === "boolean" ? [offer(true), offer(false)] : [];
  });
}

/** What the documentation says of a value. */
export function describe(root: Schema, schema: Schema): string {
  if (schema.description) return withDefault(schema.description, schema.default);
  return forms(root, schema).find((form) => form.description)?.description ?? "";
}

function withDefault(text: string, value: unknown): string {
  const told = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  return told && !text.includes("default") ? texts.policies.editor.preset(text, String(value)) : text;
}

/** What the documentation says of the key at the end of a path. */
export function describeAt(root: Schema, path: readonly Step[]): string {
  const last = path.at(-1);
  if (last === undefined) return "";
  for (const schema of at(root, path.slice(0, -1))) {
    const [found] = below(schema, last);
    const text = found ? describe(root, found) : "";
    if (text) return text;
  }
  return "";
}

function shapeOf(root: Schema, schema: Schema): Shape {
  const all = forms(root, schema);
  const types = new Set(all.flatMap((form) => form.type ?? []));
  if (types.has("array")) {
    const items = all.flatMap((form) => (form.items ? forms(root, form.items) : []));
    return items.some((item) => item.type === "object") ? "list of mappings" : "list";
  }
  if (types.has("object")) return "mapping";
  if (types.has("boolean")) return "yes or no";
  if (types.has("integer") || types.has("number")) return "number";
  return types.has("string") ? "text" : "";
}
