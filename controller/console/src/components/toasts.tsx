import { ToastNotification } from "@carbon/react";
import { createContext, use, useCallback, useMemo, useState, type ReactNode } from "react";
import { wordsOf } from "@/api/problem";
import { texts } from "@/texts";

interface Toast {
  id: number;
  kind: "success" | "error" | "info";
  title: string;
  text: string;
}

interface Toasts {
  /** Something was done. */
  done(title: string, text?: string): void;
  /** Something was refused or did not work: the controller's own words. */
  failed(error: unknown): void;
}

const Context = createContext<Toasts | null>(null);
/** More than these hide the page. */
const MOST = 4;
const SHOWN_MS = 6_000;

/** Short messages about what was done, in a corner, read out by screen readers. */
export function ToastProvider({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<Toast[]>([]);
  const add = useCallback((toast: Omit<Toast, "id">) => {
    setShown((now) => [...now, { ...toast, id: (now.at(-1)?.id ?? 0) + 1 }].slice(-MOST));
  }, []);
  const value = useMemo<Toasts>(
    () => ({
      done: (title, text = "") => add({ kind: "success", title, text }),
      failed: (error) => add({ kind: "error", title: texts.common.notDone, text: wordsOf(error) }),
    }),
    [add],
  );
  const drop = (id: number) => setShown((now) => now.filter((toast) => toast.id !== id));
  return (
    <Context value={value}>
      {children}
      <div className="toasts">
        {shown.map((toast) => (
          <ToastNotification
            key={toast.id}
            kind={toast.kind}
            lowContrast
            role={toast.kind === "error" ? "alert" : "status"}
            title={toast.title}
            subtitle={toast.text}
            statusIconDescription={toast.kind}
            // An error stays until it was read.
            timeout={toast.kind === "error" ? 0 : SHOWN_MS}
            onClose={() => {
              drop(toast.id);
              return true;
            }}
          />
        ))}
      </div>
    </Context>
  );
}

/** How to tell what was done. */
export function useToasts(): Toasts {
  const toasts = use(Context);
  if (!toasts) throw new Error("useToasts is used outside of ToastProvider");
  return toasts;
}
