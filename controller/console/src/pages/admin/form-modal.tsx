import { Button, InlineNotification, Stack } from "@carbon/react";
import { useState, type FormEvent, type ReactNode } from "react";
import { ApiError, wordsOf } from "@/api/problem";
import { Dialog } from "@/components/dialog";
import { texts } from "@/texts";

/** The status that tells that somebody else changed it meanwhile. */
const CHANGED = 412;

/**
 * A form over the page. Enter sends it; what is refused is told in it, and nothing that was typed is lost. `reload`: how to
 * get at what somebody else changed meanwhile.
 */
export function FormModal(props: {
  title: string;
  action: string;
  valid: boolean;
  danger?: boolean;
  run: () => Promise<unknown>;
  reload?: () => void;
  close: () => void;
  children: ReactNode;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const submit = async () => {
    if (busy || !props.valid) return;
    setBusy(true);
    setError(undefined);
    try {
      await props.run();
      props.close();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    void submit();
  };
  return (
    <Dialog
      size="sm"
      busy={busy}
      danger={props.danger ?? false}
      modalHeading={props.title}
      primaryButtonText={props.action}
      secondaryButtonText={texts.common.cancel}
      primaryButtonDisabled={!props.valid}
      onRequestSubmit={() => void submit()}
      onRequestClose={props.close}
    >
      <form onSubmit={onSubmit}>
        <Stack gap={5}>
          {props.children}
          {error ? (
            <InlineNotification
              kind="error"
              lowContrast
              hideCloseButton
              title={texts.common.notDone}
              subtitle={wordsOf(error)}
            />
          ) : null}
          {props.reload && error instanceof ApiError && error.status === CHANGED ? (
            <Button
              kind="tertiary"
              size="sm"
              onClick={() => {
                setError(undefined);
                props.reload?.();
              }}
            >
              {texts.users.reload}
            </Button>
          ) : null}
        </Stack>
        {/* Without a button of its own, a form of several fields is not sent by Enter. */}
        <button type="submit" hidden tabIndex={-1} />
      </form>
    </Dialog>
  );
}
