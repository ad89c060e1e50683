import { ApiError } from "@/api/problem";
import type { DraftView } from "../data";
import type { Kept } from "./kept";

/** A draft as the controller has it. */
export interface Stored {
  text: string;
  etag: string;
  draft: DraftView;
}

/** How a {@link Keeper} reaches the controller and the browser's store. */
export interface Ports {
  put(
    text: string,
    etag: string | undefined,
    base: number,
  ): Promise<{ data: DraftView; etag: string | undefined }>;
  /** What the controller has now; nothing if the draft is gone. */
  get(): Promise<Stored | undefined>;
  keep(kept: Kept): void;
  forget(): void;
}

/** What an editor begins with. */
export interface Beginning extends Kept {
  /** The draft, if there is one. */
  draft: DraftView | undefined;
  /** Typed before a reload, and not saved. */
  unsaved: Kept | undefined;
}

/** Where a draft stands. */
export interface Standing {
  phase: "same" | "unsaved" | "saving" | "saved" | "conflict" | "failed";
  draft: DraftView | undefined;
  etag: string | undefined;
  /** Why it was not saved. */
  error: unknown;
  /** In a conflict: what somebody else saved; nothing if the draft is gone. */
  other: Stored | undefined;
}

/** Pause after the last letter before it is saved. */
const PAUSE_MS = 1_200;
/** Pause before another try, where the controller did not answer. */
const AGAIN_MS = 5_000;

/**
 * Saves a draft while it is written. One save is under way at most; what is typed meanwhile is saved after it. Whoever else
 * saved the draft is never overwritten unasked.
 */
export class Keeper {
  text: string;
  private saved: string;
  private base: number;
  private standing: Standing;
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: Promise<void> | undefined;

  constructor(
    beginning: Beginning,
    private readonly ports: Ports,
  ) {
    const { draft, unsaved } = beginning;
    const phase = draft ? "saved" : "same";
    this.saved = beginning.text;
    this.text = beginning.text;
    this.base = beginning.base;
    this.standing = { phase, draft, etag: beginning.etag, error: undefined, other: undefined };
    if (!unsaved || unsaved.text === beginning.text) return;
    this.text = unsaved.text;
    if (unsaved.etag === beginning.etag) {
      this.standing.phase = "unsaved";
      return;
    }
    this.standing.phase = "conflict";
    if (draft && beginning.etag) this.standing.other = { text: beginning.text, etag: beginning.etag, draft };
  }

  readonly subscribe = (tell: () => void) => {
    this.listeners.add(tell);
    return () => this.listeners.delete(tell);
  };

  readonly snapshot = (): Standing => this.standing;

  /** Something typed would be lost if the page were closed now. */
  get dirty(): boolean {
    return this.text !== this.saved || this.running !== undefined;
  }

  /** The text is another one. */
  change(text: string): void {
    this.text = text;
    this.ports.keep({ text, etag: this.standing.etag, base: this.base });
    if (this.standing.phase === "conflict") return;
    if (this.standing.phase !== "saving") this.set({ phase: "unsaved", error: undefined });
    this.later(PAUSE_MS);
  }

  /** Saves at once what is not saved. */
  async save(): Promise<void> {
    // Several may have waited: the first of them saves, the others wait for that, too.
    while (this.running) await this.running;
    clearTimeout(this.timer);
    if (this.standing.phase === "conflict" || this.text === this.saved) return;
    this.running = this.send().finally(() => {
      this.running = undefined;
    });
    await this.running;
  }

  /** In a conflict: what is here replaces what somebody else saved. */
  async takeMine(): Promise<void> {
    const { other } = this.standing;
    this.set({
      phase: "unsaved",
      etag: other?.etag,
      draft: other?.draft,
      other: undefined,
      error: undefined,
    });
    await this.force();
  }

  /** In a conflict: what somebody else saved replaces what is here. Tells that text. */
  takeTheirs(): string | undefined {
    const { other } = this.standing;
    if (!other) return undefined;
    this.text = other.text;
    this.saved = other.text;
    this.base = Number(other.draft.base);
    this.ports.forget();
    this.set({ phase: "saved", etag: other.etag, draft: other.draft, other: undefined, error: undefined });
    return other.text;
  }

  /** The text is made from another revision from now on. */
  async rebase(base: number): Promise<void> {
    this.base = base;
    await this.force();
  }

  /** Nothing is saved any more: the draft is published or discarded. */
  end(): void {
    clearTimeout(this.timer);
    this.saved = this.text;
    this.ports.forget();
    this.set({ phase: "same", draft: undefined, etag: undefined, error: undefined, other: undefined });
  }

  private async force(): Promise<void> {
    while (this.running) await this.running;
    clearTimeout(this.timer);
    this.running = this.send().finally(() => {
      this.running = undefined;
    });
    await this.running;
  }

  private set(change: Partial<Standing>): void {
    this.standing = { ...this.standing, ...change };
    this.listeners.forEach((tell) => tell());
  }

  private later(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.save(), ms);
  }

  private async send(): Promise<void> {
    const { text } = this;
    this.set({ phase: "saving" });
    try {
      const { data, etag } = await this.ports.put(text, this.standing.etag, this.base);
      this.saved = text;
      if (this.text === text) {
        this.ports.forget();
        this.set({ phase: "saved", draft: data, etag, error: undefined });
        return;
      }
      this.ports.keep({ text: this.text, etag, base: this.base });
      this.set({ phase: "unsaved", draft: data, etag, error: undefined });
      this.later(PAUSE_MS);
    } catch (error) {
      await this.refused(error);
    }
  }

  private async refused(error: unknown): Promise<void> {
    const status = error instanceof ApiError ? error.status : 0;
    this.ports.keep({ text: this.text, etag: this.standing.etag, base: this.base });
    if (status === 412) {
      try {
        const other = await this.ports.get();
        this.set({ phase: "conflict", other, error: undefined });
        return;
      } catch (failure) {
        this.set({ phase: "failed", error: failure });
      }
    } else {
      this.set({ phase: "failed", error });
    }
    // A refusal stays one until the text changes; a controller that is away or a session that ended come back.
    if (status === 0 || status >= 500) this.later(AGAIN_MS);
  }
}
