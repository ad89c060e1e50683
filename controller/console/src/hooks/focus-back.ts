import { useEffect, useState } from "react";

/** Where the focus was before the first of the dialogs that are open now. */
let before: Element | null = null;
/** Dialogs that are open now: one that closes for another one to open leaves the focus to that. */
let open = 0;

/** What has the focus; of a menu what opened it, for the menu is gone by the time that a dialog closes. */
function focused(): Element | null {
  const at = document.activeElement;
  const menu = at?.closest("[role='menu']");
  const opener = menu?.id ? document.querySelector(`[aria-controls="${CSS.escape(menu.id)}"]`) : null;
  return opener ?? at;
}

/** Gives the focus back to where it was before a dialog opened, once that is gone. */
export function useFocusBack(): void {
  // Read while it is drawn: before an effect of ours, Carbon's own has moved the focus into the dialog.
  const [found] = useState(focused);
  useEffect(() => {
    // What belonged to another dialog is gone with it.
    if (open === 0 && found?.isConnected) before = found;
    open += 1;
    return () => {
      open -= 1;
      // After Carbon has let go of the focus.
      setTimeout(() => {
        if (open === 0 && before instanceof HTMLElement && before.isConnected) before.focus();
      });
    };
  }, [found]);
}
