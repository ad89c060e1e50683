import { useSyncExternalStore } from "react";

/** What the person chose; `system` follows the machine. */
export type ThemeChoice = "system" | "light" | "dark";

const KEY = "muster.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

/** The choice of earlier visits. */
export function storedTheme(): ThemeChoice {
  const text = localStorage.getItem(KEY);
  return text === "light" || text === "dark" ? text : "system";
}

/** Shows the page in a theme. */
export function applyTheme(choice: ThemeChoice): void {
  document.documentElement.dataset["theme"] = resolve(choice);
  listeners.forEach((tell) => tell());
}

function resolve(choice: ThemeChoice): "light" | "dark" {
  if (choice === "system") return dark.matches ? "dark" : "light";
  return choice;
}

dark.addEventListener("change", () => applyTheme(storedTheme()));

/** The theme shown, the choice, and how to make another. */
export function useTheme() {
  const shown = useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => (document.documentElement.dataset["theme"] === "dark" ? "dark" : "light"),
  );
  const choose = (choice: ThemeChoice) => {
    if (choice === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
    applyTheme(choice);
  };
  return { shown, choose } as const;
}
