/** When a page was last loaded anew by itself, in this tab. */
const KEY = "muster.renewed";
/** Not more often than this: what cannot be loaded after that is not there, and the page says so. */
const APART_MS = 60_000;

/**
 * After an upgrade of the controller, a page that was open before asks for parts of the console that are not there any
 * more. It is loaded anew then, unless the controller does not answer: a page that stands is better than none.
 */
export function renewAfterUpgrade(): void {
  window.addEventListener("vite:preloadError", () => {
    const last = Number(sessionStorage.getItem(KEY) ?? 0);
    if (Date.now() - last < APART_MS) return;
    sessionStorage.setItem(KEY, String(Date.now()));
    void reloadIfServed();
  });
}

async function reloadIfServed(): Promise<void> {
  try {
    const answer = await fetch("/", { cache: "no-store" });
    if (answer.ok) window.location.reload();
  } catch {
    // It is told where the part would be.
  }
}
