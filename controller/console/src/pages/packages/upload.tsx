import { Button, InlineNotification, ProgressBar } from "@carbon/react";
import { Upload as UploadIcon } from "@carbon/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { wordsOf } from "@/api/problem";
import type { PackageView } from "@/api/schema";
import { useToasts } from "@/components/toasts";
import { bytes } from "@/hooks/format";
import { texts } from "@/texts";
import { titleOf } from "./data";
import { MOST_BYTES, uploadFile, type Progress } from "./upload-file";

const t = texts.packages.upload;

/** A file on its way to the controller. */
interface Sending {
  file: File;
  progress?: Progress | undefined;
  error?: string | undefined;
}

/** Uploads one file; what breaks off goes on where it was. */
export function useUpload(done: (one: PackageView) => void) {
  const client = useQueryClient();
  const toasts = useToasts();
  const [sending, setSending] = useState<Sending>();
  const stop = useRef<AbortController>(undefined);
  useEffect(() => () => stop.current?.abort(), []);
  const start = async (file: File) => {
    stop.current?.abort();
    const { signal } = (stop.current = new AbortController());
    if (file.size === 0 || file.size > MOST_BYTES) {
      setSending({ file, error: t.size(bytes(file.size)) });
      return;
    }
    setSending({ file });
    try {
      const one = await uploadFile(file, signal, (progress) => {
        if (!signal.aborted) setSending({ file, progress });
      });
      setSending(undefined);
      toasts.done(t.done(titleOf(one), one.platform));
      await client.invalidateQueries({ queryKey: ["packages"] });
      done(one);
    } catch (error) {
      if (!signal.aborted) setSending({ file, error: wordsOf(error) });
    }
  };
  const cancel = () => {
    stop.current?.abort();
    setSending(undefined);
  };
  return { sending, start: (file: File) => void start(file), cancel };
}

/** The button that asks for a file. */
export function UploadButton(props: { disabled: boolean; start: (file: File) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        accept=".muster"
        hidden
        aria-label={t.choose}
        onChange={({ target }) => {
          const file = target.files?.[0];
          // The same file can be chosen once more.
          target.value = "";
          if (file) props.start(file);
        }}
      />
      <Button
        size="md"
        kind="tertiary"
        renderIcon={UploadIcon}
        disabled={props.disabled}
        onClick={() => input.current?.click()}
      >
        {t.action}
      </Button>
    </>
  );
}

/** How far the upload is, or why it stands. */
export function UploadProgress(props: { sending: Sending; start: (file: File) => void; cancel: () => void }) {
  const { file, progress, error } = props.sending;
  if (error) {
    return (
      <div className="package-upload" role="alert">
        <InlineNotification
          kind="error"
          lowContrast
          hideCloseButton
          title={t.stopped(file.name)}
          subtitle={error}
        />
        <div className="row">
          <Button size="sm" kind="tertiary" onClick={() => props.start(file)}>
            {t.goOn}
          </Button>
          <Button size="sm" kind="ghost" onClick={props.cancel}>
            {texts.common.close}
          </Button>
        </div>
      </div>
    );
  }
  const sent = progress && progress.step !== "digest" ? progress.sent : undefined;
  return (
    <div className="package-upload">
      <ProgressBar
        label={file.name}
        helperText={helper(progress, file.size)}
        max={file.size}
        {...(sent === undefined ? {} : { value: sent })}
      />
      <Button size="sm" kind="ghost" onClick={props.cancel}>
        {t.cancel}
      </Button>
    </div>
  );
}

function helper(progress: Progress | undefined, size: number): string {
  if (!progress || progress.step === "digest") return t.digest(bytes(size));
  if (progress.step === "waiting") return t.waiting(progress.why, progress.seconds);
  return progress.sent === size ? t.verifying : t.sending(bytes(progress.sent), bytes(size));
}
