import { Button, Form, InlineNotification, PasswordInput, Stack } from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useLocation } from "wouter";
import { api, body } from "@/api/client";
import { wordsOf } from "@/api/problem";
import { isEnough, useSession } from "@/api/session";
import { SHORTEST } from "@/components/change-password";
import { useTitle } from "@/hooks/title";
import { texts } from "@/texts";

/** Where somebody goes who may enrol the first partition: that page leads through the rest. */
const NEXT = "/enrolment?first=1";

/** Whether no agent is there yet. If that cannot be told, nobody is led anywhere. */
async function isEmpty(): Promise<boolean> {
  try {
    const { items } = await body(api.GET("/api/v1/agents", { params: { query: { limit: 1 } } }));
    return items.length === 0;
  } catch {
    return false;
  }
}

/** Sets the own password, and goes on to where there is something to do. */
function useSetPassword() {
  const client = useQueryClient();
  const { who } = useSession();
  const [, navigate] = useLocation();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const submit = async (current: string, next: string) => {
    setBusy(true);
    setError(undefined);
    try {
      await api.POST("/api/v1/password", { body: { current, new: next } });
      // The way on is chosen before this page is taken away, which the new `whoami` does.
      if (who && isEnough(who.role, "operator") && (await isEmpty())) navigate(NEXT, { replace: true });
      await client.invalidateQueries({ queryKey: ["whoami"] });
    } catch (failure) {
      setError(wordsOf(failure));
      setBusy(false);
    }
  };
  return { busy, error, submit };
}

/** The first page for whoever signs in with a password that was given to them. */
export default function FirstRun() {
  const t = texts.firstRun;
  useTitle(t.title);
  const { who, signOut } = useSession();
  const { busy, error, submit } = useSetPassword();
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [again, setAgain] = useState("");
  const differs = again !== "" && again !== next;
  const valid = current !== "" && next.length >= SHORTEST && again === next;
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    if (valid && !busy) void submit(current, next);
  };
  const field = (id: string, label: string, value: string, set: (value: string) => void) => ({
    id,
    labelText: label,
    autoComplete: id === "current-password" ? "current-password" : "new-password",
    value,
    onChange: (event: { target: { value: string } }) => set(event.target.value),
  });
  return (
    <main className="gate">
      <div className="gate-card">
        <Form onSubmit={onSubmit}>
          <Stack gap={6}>
            <h1>{t.title}</h1>
            <p>{t.password(who?.user ?? "")}</p>
            {error ? (
              <InlineNotification
                kind="error"
                lowContrast
                hideCloseButton
                title={texts.common.notDone}
                subtitle={error}
              />
            ) : null}
            <PasswordInput {...field("current-password", t.current, current, setCurrent)} autoFocus />
            <PasswordInput
              {...field("new-password", t.next, next, setNext)}
              helperText={t.nextHelp(SHORTEST)}
            />
            <PasswordInput
              {...field("new-password-again", t.again, again, setAgain)}
              invalid={differs}
              invalidText={t.differs}
            />
            <div className="row">
              <Button type="submit" disabled={busy || !valid}>
                {busy ? t.busy : t.submit}
              </Button>
              <Button kind="ghost" onClick={() => void signOut().catch(() => undefined)}>
                {t.signOut}
              </Button>
            </div>
          </Stack>
        </Form>
      </div>
    </main>
  );
}
