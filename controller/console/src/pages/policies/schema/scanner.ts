import type { Place } from "./place";

/** A step down a document: a key or the number of an item. */
export type Step = string | number;

/** A key of a document. */
export interface Entry {
  /** The way to its mapping. */
  parent: Step[];
  key: string;
  /** Its value, if it is a plain word on the same line; else empty. */
  value: string;
  /** Where the key begins and ends. */
  from: number;
  to: number;
}

/** A key or a dash that stands further left than what follows. */
interface Block {
  indent: number;
  step: Step;
}

/** A brace or bracket that is open. */
interface Flow {
  list: boolean;
  /** Items before this one. */
  index: number;
  /** The key whose value is being read. */
  entry?: Entry;
}

const KEY =
  /^("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#{}[\],&*!|>'"%@`-][^:#{}[\],]*?|-[^\s:#{}[\],][^:#{}[\],]*?)\s*:(?=\s|$)/;
const TEXT_BLOCK = /^[|>][-+0-9]*\s*$/;

/** Without its quotes. */
function plain(word: string): string {
  const text = word.trim();
  const quoted = /^(["'])(.*)\1$/.exec(text);
  return quoted ? (quoted[2] ?? "") : text;
}

/** `line` without a comment; quotes are respected. */
function uncommented(line: string): string {
  let quote = "";
  for (let at = 0; at < line.length; at += 1) {
    const char = line[at] ?? "";
    if (quote) {
      if (char === quote) quote = "";
    } else if (char === '"' || char === "'") {
      quote = char;
    } else if (char === "#" && (at === 0 || /\s/.test(line[at - 1] ?? ""))) {
      return line.slice(0, at);
    }
  }
  return line;
}

/**
 * Follows a YAML text line by line and knows at its end where it is. It reads what policies are written in (mappings,
 * sequences, flow collections, block texts, comments), takes what is unfinished as it stands, and never fails.
 */
export class Scanner {
  readonly entries: Entry[] = [];
  private blocks: Block[] = [];
  private flows: Flow[] = [];
  /** Lines further right than this belong to a block text. */
  private textBlock: number | undefined;
  private quote = "";
  private token = "";
  private from = 0;
  private indent = 0;
  private value = false;
  private silent = false;
  /** The last line is empty so far to the right: what is left of it counts, and nothing is closed by it yet. */
  private emptyTo: number | undefined;

  feed(text: string): void {
    let offset = 0;
    for (const line of text.split("\n")) {
      this.line(line.replace(/\r$/, ""), offset);
      offset += line.length + 1;
    }
  }

  /** Where the text that was fed ends. */
  place(): Place | undefined {
    if (this.silent) return undefined;
    const flow = this.flows.length > 0;
    const path = this.path();
    return {
      path,
      kind: this.value ? "value" : "word",
      typed: this.token,
      from: this.from,
      flow,
      indent: this.indent,
    };
  }

  private path(): Step[] {
    const { emptyTo } = this;
    const open = emptyTo === undefined ? this.blocks : this.blocks.filter(({ indent }) => indent < emptyTo);
    const steps: Step[] = open.map((block) => block.step);
    for (const flow of this.flows) {
      if (flow.list) steps.push(flow.index);
      else if (flow.entry) steps.push(flow.entry.key);
    }
    return steps;
  }

  private line(whole: string, start: number): void {
    const line = uncommented(whole);
    const indent = line.length - line.trimStart().length;
    const blank = line.trim() === "";
    this.silent = line.length < whole.length;
    if (this.textBlock !== undefined) {
      if (blank || indent > this.textBlock) {
        this.silent = true;
        return;
      }
      this.textBlock = undefined;
    }
    this.emptyTo = undefined;
    if (this.flows.length > 0) {
      this.token = "";
      this.from = start + line.length;
      this.flow(line, start);
      return;
    }
    if (blank) {
      this.begin(start + indent, false);
      this.indent = indent;
      this.emptyTo = indent;
      return;
    }
    this.block(line, start, indent);
  }

  /** A line outside of braces and brackets. */
  private block(line: string, start: number, first: number): void {
    let at = first;
    this.value = false;
    while (/^-(\s|$)/.test(line.slice(at))) {
      const before = this.popTo(at, true);
      this.blocks.push({ indent: at, step: before === undefined ? 0 : before + 1 });
      const rest = line.slice(at + 1);
      at += 1 + rest.length - rest.trimStart().length;
    }
    const word = line.slice(at);
    const key = KEY.exec(word);
    this.indent = at;
    if (!key) {
      this.wordAt(word, start + at, at);
      return;
    }
    this.popTo(at, false);
    const name = plain(key[1] ?? "");
    const entry = {
      parent: this.path(),
      key: name,
      value: "",
      from: start + at,
      to: start + at + (key[1] ?? "").length,
    };
    this.entries.push(entry);
    this.blocks.push({ indent: at, step: name });
    this.valueAt(word.slice(key[0].length), start + at + key[0].length, entry, at);
  }

  private wordAt(word: string, from: number, at: number): void {
    // What a flow collection begins is the item itself.
    if (/^[[{]/.test(word)) {
      this.flow(word, from);
      return;
    }
    this.popTo(at, false);
    this.token = word;
    this.from = from;
  }

  private valueAt(rest: string, from: number, entry: Entry, indent: number): void {
    const skipped = rest.length - rest.trimStart().length;
    const word = rest.slice(skipped);
    this.value = true;
    this.token = word;
    this.from = from + skipped;
    if (TEXT_BLOCK.test(word)) {
      this.textBlock = indent;
      this.silent = true;
    } else if (/^[[{]/.test(word)) {
      this.flow(word, from + skipped);
    } else {
      entry.value = plain(word);
    }
  }

  /** Leaves what stands as far right as `indent`; tells the number of the item before, for a further one. */
  private popTo(indent: number, item: boolean): number | undefined {
    for (;;) {
      const last = this.blocks.at(-1);
      if (!last || last.indent < indent) return undefined;
      // A sequence may stand as far left as the key that it belongs to.
      if (item && last.indent === indent && typeof last.step === "string") return undefined;
      this.blocks.pop();
      if (item && last.indent === indent && typeof last.step === "number") return last.step;
    }
  }

  /** What stands within braces and brackets, letter by letter. */
  private flow(text: string, start: number): void {
    for (let at = 0; at < text.length; at += 1) {
      const char = text[at] ?? "";
      if (this.quote) {
        this.token += char;
        if (char === this.quote) this.quote = "";
      } else if (char === "{" || char === "[") {
        this.flows.push({ list: char === "[", index: 0 });
        this.begin(start + at + 1, char === "[");
      } else if (char === "}" || char === "]") {
        this.finish();
        this.flows.pop();
        if (this.flows.length === 0) this.silent = true;
        this.begin(start + at + 1, true);
      } else if (char === ",") {
        this.next(start + at + 1);
      } else if (char === ":" && this.isColon(text[at + 1])) {
        this.key(start + at);
      } else {
        this.letter(char, start + at);
      }
    }
  }

  private isColon(next: string | undefined): boolean {
    const flow = this.flows.at(-1);
    return Boolean(flow && !flow.list && !flow.entry && (next === undefined || /[\s,}\]]/.test(next)));
  }

  private letter(char: string, at: number): void {
    if (this.token === "" && /\s/.test(char)) return;
    if (this.token === "") this.from = at;
    if (this.token === "" && (char === '"' || char === "'")) this.quote = char;
    this.token += char;
  }

  private begin(from: number, value: boolean): void {
    this.token = "";
    this.from = from;
    this.value = value;
  }

  private finish(): void {
    const flow = this.flows.at(-1);
    if (flow?.entry) flow.entry.value = plain(this.token);
  }

  private next(from: number): void {
    this.finish();
    const flow = this.flows.at(-1);
    if (flow) {
      flow.index += 1;
      delete flow.entry;
    }
    this.begin(from, flow?.list ?? false);
  }

  private key(at: number): void {
    const flow = this.flows.at(-1);
    if (!flow) return;
    const key = plain(this.token);
    const entry = { parent: this.path(), key, value: "", from: this.from, to: at };
    this.entries.push(entry);
    flow.entry = entry;
    this.begin(at + 1, true);
  }
}
