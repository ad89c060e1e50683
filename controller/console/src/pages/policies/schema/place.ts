import { Scanner, type Entry, type Step } from "./scanner";

/** Where in a document something is being written. */
export interface Place {
  /** The way to the value that is written, or to the mapping or sequence into which a key is written. */
  path: Step[];
  /** A `value` follows its key's colon; a `word` may still become a key or an item of a sequence. */
  kind: "word" | "value";
  /** What stands there already, up to the place. */
  typed: string;
  /** Offset at which that begins. */
  from: number;
  /** Within braces or brackets: no line may be begun here. */
  flow: boolean;
  /** Column at which the word or its line's key begins. */
  indent: number;
}

/**
 * The place at an offset of a YAML text; none within comments and block texts. Half-written documents are the usual case
 * for whoever types, so the text is scanned up to the place and nothing after it counts.
 */
export function placeAt(text: string, offset: number): Place | undefined {
  const scanner = new Scanner();
  scanner.feed(text.slice(0, offset));
  return scanner.place();
}

/** Every key of a text with the mapping that it stands in and, where it is plain, its value. */
export function entriesOf(text: string): Entry[] {
  const scanner = new Scanner();
  scanner.feed(text);
  return scanner.entries;
}

/** The plain values that stand beside each other in one mapping, by key. */
export function siblingsOf(entries: readonly Entry[], path: readonly Step[]): Map<string, string> {
  const here = entries.filter((entry) => same(entry.parent, path));
  return new Map(here.map((entry) => [entry.key, entry.value]));
}

function same(one: readonly Step[], other: readonly Step[]): boolean {
  return one.length === other.length && one.every((step, index) => step === other[index]);
}

/** The way to the key at an offset, for a word about it. */
export function keyAt(text: string, offset: number): Step[] | undefined {
  const found = entriesOf(text).find((entry) => entry.from <= offset && offset <= entry.to);
  return found ? [...found.parent, found.key] : undefined;
}
