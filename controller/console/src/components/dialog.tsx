import { Modal, type ModalProps } from "@carbon/react";
import { useCallback, useEffect, useRef, type SyntheticEvent } from "react";
import { useFocusBack } from "@/hooks/focus-back";

/**
 * A dialog over the page. The focus goes into it, and back to where it was.
 *
 * `busy`: what was asked for is under way; until it is answered nothing closes the dialog, and its buttons cannot be
 * pressed. `held`: nothing closes it, but its buttons stay.
 */
export function Dialog({
  busy = false,
  held = busy,
  onRequestClose,
  onRequestSubmit,
  ...rest
}: Omit<ModalProps, "open"> & { busy?: boolean; held?: boolean }) {
  useFocusBack();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const dialog = box.current?.querySelector<HTMLElement>("[role='dialog']");
    // Carbon gives the focus to the first button, which takes none while it is disabled.
    if (dialog && !dialog.contains(document.activeElement)) dialog.focus();
  }, []);
  // Of Escape, Carbon keeps the function of the first time that it is drawn: this one always is the same.
  const latest = useRef({ onRequestClose, held });
  useEffect(() => {
    latest.current = { onRequestClose, held };
  });
  const close = useCallback((event: SyntheticEvent<HTMLElement>) => {
    if (!latest.current.held) latest.current.onRequestClose?.(event);
  }, []);
  const { primaryButtonText, primaryButtonDisabled } = rest;
  // Enter sends a form, whatever becomes of the button.
  const submit = (event: SyntheticEvent<HTMLElement>) => {
    if (!busy && !primaryButtonDisabled) onRequestSubmit?.(event);
  };
  return (
    <Modal
      {...(typeof primaryButtonText === "string" ? { loadingDescription: primaryButtonText } : {})}
      {...rest}
      open
      ref={box}
      loadingStatus={busy ? "active" : "inactive"}
      onRequestSubmit={submit}
      onRequestClose={close}
    />
  );
}
