import { Button, InlineNotification, TextArea } from "@carbon/react";
import { DocumentAdd } from "@carbon/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { api, body } from "@/api/client";
import { wordsOf } from "@/api/problem";
import { useMay } from "@/api/session";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";

/** Real ones have a few hundred bytes. */
const LARGEST = 64 * 1024;

/** How a licence is installed, and by whom. */
export function Install() {
  const t = texts.licence;
  const may = useMay("admin");
  return (
    <section className="panel stack">
      <h2>{t.install}</h2>
      <p>{t.installHelp}</p>
      {may ? <Form /> : <p className="muted">{t.installNeeds}</p>}
    </section>
  );
}

/** Takes a licence from a file, or from a mail's text. */
function Form() {
  const t = texts.licence;
  const client = useQueryClient();
  const toasts = useToasts();
  const [text, setText] = useState("");
  const install = useMutation({
    mutationFn: (file: string) =>
      body(
        api.POST("/api/v1/licence", {
          body: file,
          bodySerializer: (sent) => sent,
          headers: { "Content-Type": "text/plain" },
        }),
      ),
    onSuccess: (view) => {
      client.setQueryData(["licence", "view"], view);
      setText("");
      toasts.done(t.installed, view.says);
      return client.invalidateQueries({ queryKey: ["licence"] });
    },
  });
  return (
    <>
      <FileChoice take={setText} />
      <TextArea
        id="licence-text"
        labelText={t.paste}
        placeholder={t.pasteExample}
        rows={8}
        className="mono"
        spellCheck={false}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          install.reset();
        }}
      />
      {install.error ? (
        <InlineNotification
          kind="error"
          lowContrast
          hideCloseButton
          title={texts.common.notDone}
          subtitle={wordsOf(install.error)}
        />
      ) : null}
      <div>
        <Button disabled={!text.trim() || install.isPending} onClick={() => install.mutate(text)}>
          {install.isPending ? t.installing : t.installAction}
        </Button>
      </div>
    </>
  );
}

/** Reads a file into the text field, where it can be looked at before it is installed. */
function FileChoice({ take }: { take: (text: string) => void }) {
  const t = texts.licence;
  const input = useRef<HTMLInputElement>(null);
  const toasts = useToasts();
  const read = async (file: File | undefined) => {
    if (!file) return;
    try {
      if (file.size > LARGEST) throw new Error(t.tooLarge);
      take(await file.text());
    } catch (error) {
      toasts.failed(error);
    }
  };
  return (
    <div className="row">
      <input
        ref={input}
        type="file"
        hidden
        aria-label={t.file}
        data-testid="licence-file"
        onChange={(event) => {
          void read(event.target.files?.[0]);
          // The same file again is a choice, too.
          event.target.value = "";
        }}
      />
      <Button kind="tertiary" size="md" renderIcon={DocumentAdd} onClick={() => input.current?.click()}>
        {t.file}
      </Button>
      <span className="sub">{t.fileHelp}</span>
    </div>
  );
}
