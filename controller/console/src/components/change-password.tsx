import { PasswordInput, Stack } from "@carbon/react";
import { useState } from "react";
import { api } from "@/api/client";
import { wordsOf } from "@/api/problem";
import { texts } from "@/texts";
import { Dialog } from "./dialog";
import { useToasts } from "./toasts";

/** Shortest password that the controller takes, in characters. */
export const SHORTEST = 12;

/** Changes the own password. */
export default function ChangePassword({ close }: { close: () => void }) {
  const t = texts.password;
  const toasts = useToasts();
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const submit = async () => {
    setBusy(true);
    try {
      await api.POST("/api/v1/password", { body: { current, new: next } });
      toasts.done(t.done, t.doneHelp);
      close();
    } catch (failure) {
      setError(wordsOf(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      size="sm"
      busy={busy}
      modalHeading={t.title}
      primaryButtonText={t.title}
      secondaryButtonText={texts.common.cancel}
      primaryButtonDisabled={!current || next.length < SHORTEST}
      onRequestSubmit={() => void submit()}
      onRequestClose={close}
    >
      <Stack gap={5}>
        <PasswordInput
          id="current-password"
          labelText={t.current}
          autoComplete="current-password"
          data-modal-primary-focus
          value={current}
          invalid={error !== undefined}
          invalidText={error ?? ""}
          onChange={(event) => {
            setCurrent(event.target.value);
            setError(undefined);
          }}
        />
        <PasswordInput
          id="new-password"
          labelText={t.next}
          helperText={t.help(SHORTEST)}
          autoComplete="new-password"
          value={next}
          onChange={(event) => setNext(event.target.value)}
        />
      </Stack>
    </Dialog>
  );
}
