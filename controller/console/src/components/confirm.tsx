import { InlineNotification, Stack, TextInput } from "@carbon/react";
import { useState, type ReactNode } from "react";
import { wordsOf } from "@/api/problem";
import { texts } from "@/texts";
import { Dialog } from "./dialog";

/**
 * Asks before something is done that others notice. `reason`: it also asks why, for the audit log. What is refused is told
 * here, and nothing that was typed is lost.
 */
export function Confirm(props: {
  title: string;
  action: string;
  danger?: boolean;
  reason?: boolean | "required";
  /** What the reason is called here, where it is kept with the thing itself. */
  reasonWords?: { label: string; help: string };
  children?: ReactNode;
  run: (reason: string) => Promise<unknown>;
  close: () => void;
}) {
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const submit = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await props.run(reason.trim());
      props.close();
    } catch (failure) {
      setError(wordsOf(failure));
      setBusy(false);
    }
  };
  return (
    <Dialog
      size="sm"
      busy={busy}
      danger={props.danger ?? false}
      modalHeading={props.title}
      primaryButtonText={props.action}
      secondaryButtonText={texts.common.cancel}
      primaryButtonDisabled={props.reason === "required" && !reason.trim()}
      onRequestSubmit={() => void submit()}
      onRequestClose={props.close}
    >
      <Stack gap={5}>
        {props.children}
        {props.reason ? (
          <TextInput
            id="reason"
            labelText={props.reasonWords?.label ?? texts.common.reason}
            helperText={props.reasonWords?.help ?? texts.common.reasonHelp}
            maxLength={200}
            data-modal-primary-focus
            value={reason}
            onChange={(event) => setReason(event.target.value)}
          />
        ) : null}
        {error ? (
          <InlineNotification
            kind="error"
            lowContrast
            hideCloseButton
            title={texts.common.notDone}
            subtitle={error}
          />
        ) : null}
      </Stack>
    </Dialog>
  );
}
