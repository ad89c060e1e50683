import { Button } from "@carbon/react";
import { Checkmark, Copy } from "@carbon/icons-react";
import { CopiedNote, useCopy } from "@/components/copy";
import { texts } from "@/texts";
import "./admin.scss";

/** A text to be taken along as it is: a command, a configuration, a token. `testId` names the text for the stories. */
export function CopyBlock({ label, text, testId }: { label: string; text: string; testId?: string }) {
  const { copied, copy } = useCopy(text);
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
      <CopiedNote copied={copied} />
    </figure>
  );
}
