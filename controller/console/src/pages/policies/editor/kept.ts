/** What was typed and is not saved yet, kept by the browser's tab: neither a reload nor the end of a session loses it. */
export interface Kept {
  text: string;
  /** Tag of the draft that it was made from; none for a draft that is new. */
  etag: string | undefined;
  base: number;
}

const keyOf = (user: string, name: string) => `muster.draft.${user}.${name}`;

/** What is kept of a draft for a user. */
export function readKept(user: string, name: string): Kept | undefined {
  const text = sessionStorage.getItem(keyOf(user, name));
  if (text === null) return undefined;
  try {
    const kept = JSON.parse(text) as Partial<Kept>;
    if (typeof kept.text !== "string") return undefined;
    return { text: kept.text, etag: kept.etag, base: Number(kept.base ?? 0) };
  } catch {
    return undefined;
  }
}

/** Keeps it; a browser whose store is full loses only this safety net. */
export function keep(user: string, name: string, kept: Kept): void {
  try {
    sessionStorage.setItem(keyOf(user, name), JSON.stringify(kept));
  } catch {
    forget(user, name);
  }
}

/** It is saved, or not wanted any more. */
export function forget(user: string, name: string): void {
  sessionStorage.removeItem(keyOf(user, name));
}
