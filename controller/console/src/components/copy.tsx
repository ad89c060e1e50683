import { IconButton } from "@carbon/react";
import { Checkmark, Copy } from "@carbon/icons-react";
import { useEffect, useState, type ComponentProps } from "react";
import { texts } from "@/texts";
import { useToasts } from "./toasts";

const SHOWN_MS = 2_000;

/** Copies a text, and tells for a moment that it did; where the browser refuses, that is told. */
export function useCopy(text: string) {
  const toasts = useToasts();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch (error) {
      toasts.failed(error);
    }
  };
  return { copied, copy: () => void copy() } as const;
}

/** For screen readers: that it was copied. */
export function CopiedNote({ copied }: { copied: boolean }) {
  return (
    <span className="cds--visually-hidden" role="status">
      {copied ? texts.common.copied : ""}
    </span>
  );
}

/** A small button that copies a text. `label` says what is copied. */
export function CopyButton(props: {
  text: string;
  label: string;
  align?: ComponentProps<typeof IconButton>["align"];
}) {
  const { copied, copy } = useCopy(props.text);
  return (
    <>
      <IconButton
        kind="ghost"
        size="md"
        label={copied ? texts.common.copied : props.label}
        closeOnActivation={false}
        {...(props.align ? { align: props.align } : {})}
        onClick={copy}
      >
        {copied ? <Checkmark /> : <Copy />}
      </IconButton>
      <CopiedNote copied={copied} />
    </>
  );
}
