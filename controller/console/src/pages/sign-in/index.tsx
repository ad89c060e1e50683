import { Button, Form, InlineNotification, Modal, PasswordInput, Stack, TextInput } from "@carbon/react";
import { useState, type FormEvent } from "react";
import { wordsOf } from "@/api/problem";
import { useSession } from "@/api/session";
import { useTitle } from "@/hooks/title";
import { texts } from "@/texts";

/** What both forms do: sign in, and say why not. */
function useSignIn() {
  const { signIn } = useSession();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const submit = async (user: string, password: string) => {
    if (!user || !password) {
      setError(texts.signIn.missing);
      return;
    }
    setBusy(true);
    setError(undefined);
    try {
      await signIn(user, password);
    } catch (failure) {
      setError(wordsOf(failure));
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, submit };
}

function Refused({ error }: { error: string | undefined }) {
  return error ? (
    <InlineNotification
      kind="error"
      lowContrast
      hideCloseButton
      title={texts.common.notDone}
      subtitle={error}
    />
  ) : null;
}

/** The first page for whoever is not signed in. */
export function SignInPage() {
  const t = texts.signIn;
  useTitle(t.title);
  const { busy, error, submit } = useSignIn();
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    void submit(user, password);
  };
  return (
    <main className="gate">
      <div className="gate-card">
        <Form onSubmit={onSubmit}>
          <Stack gap={6}>
            <h1>{t.title}</h1>
            <Refused error={error} />
            <TextInput
              id="user"
              labelText={t.user}
              autoComplete="username"
              autoFocus
              value={user}
              onChange={(event) => setUser(event.target.value)}
            />
            <PasswordInput
              id="password"
              labelText={t.password}
              autoComplete="current-password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
            <Button type="submit" disabled={busy}>
              {busy ? t.busy : t.submit}
            </Button>
          </Stack>
        </Form>
      </div>
    </main>
  );
}

/** Over the open page when the session has ended: nothing that was typed is lost. */
export function SignInAgain({ user }: { user: string }) {
  const t = texts.signIn;
  const { signOut } = useSession();
  const { busy, error, submit } = useSignIn();
  const [password, setPassword] = useState("");
  return (
    <Modal
      open
      size="sm"
      preventCloseOnClickOutside
      modalHeading={t.expiredTitle}
      primaryButtonText={busy ? t.busy : t.submit}
      primaryButtonDisabled={busy}
      secondaryButtonText={t.other}
      onRequestSubmit={() => void submit(user, password)}
      onSecondarySubmit={() => void signOut().catch(() => undefined)}
      onRequestClose={() => undefined}
      shouldSubmitOnEnter
    >
      <Stack gap={5}>
        <p>{t.expiredHelp}</p>
        <Refused error={error} />
        <TextInput id="again-user" labelText={t.user} value={user} readOnly autoComplete="username" />
        <PasswordInput
          id="again-password"
          labelText={t.password}
          autoComplete="current-password"
          data-modal-primary-focus
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
      </Stack>
    </Modal>
  );
}
