import { Button } from "@carbon/react";
import { Checkmark, Copy } from "@carbon/icons-react";
import { useEffect, useState } from "react";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import "./admin.scss";

const SHOWN_MS = 2_000;

/** A text to be taken along as it is: a command, a configuration, a token. `testId` names the text for the stories. */
export function CopyBlock({ label, text, testId }: { label: string; text: string; testId?: string }) {
  const toasts = useToasts();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    navigator.clipboard.writeText(text).then(() => setCopied(true), toasts.failed);
  };
  return (
    <figure className="copy-block">
      <figcaption>
        <span>{label}</span>
        <Button
          kind="ghost"
          size="sm"
          renderIcon={copied ? Checkmark : Copy}
          aria-label={`${texts.common.copy}: ${label}`}
          onClick={copy}
        >
          {copied ? texts.common.copied : texts.common.copy}
        </Button>
      </figcaption>
      {/* It scrolls where it is long, so the keyboard must get there. */}
      <pre tabIndex={0} aria-label={label} data-testid={testId}>
        {text}
      </pre>
      <span className="cds--visually-hidden" role="status">
        {copied ? texts.common.copied : ""}
      </span>
    </figure>
  );
}
