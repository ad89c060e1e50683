import { useEffect, useRef, useState, type RefObject } from "react";
import { Dialog } from "@/components/dialog";
import { texts } from "@/texts";

/** Keys that work anywhere on the page, unless somebody types: `/` searches, `?` shows the keys. */
export function usePageKeys(search: RefObject<HTMLInputElement | null>) {
  const [shown, show] = useState(false);
  const field = useRef(search);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key === "/") {
        event.preventDefault();
        field.current.current?.focus();
        field.current.current?.select();
      }
      if (event.key === "?") show(true);
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  return { shown, show } as const;
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      target.closest("textarea, select, [role='dialog'], input:not([type='checkbox'])") !== null)
  );
}

/** The list of keys. */
export function Keys({ close }: { close: () => void }) {
  const t = texts.fleet.keys;
  return (
    <Dialog passiveModal size="sm" modalHeading={t.title} onRequestClose={close}>
      <dl className="fleet-keys">
        {t.list.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
