import { InlineNotification, Stack } from "@carbon/react";
import type { ReactNode } from "react";
import { Dialog } from "@/components/dialog";
import { texts } from "@/texts";
import { CopyBlock } from "./copy-block";

/** A secret that is told once: it is gone when this closes, and nothing but its button closes it. */
export function ShownOnce(props: {
  title: string;
  warning: string;
  label: string;
  secret: string;
  close: () => void;
  children?: ReactNode;
}) {
  return (
    <Dialog
      passiveModal
      size="sm"
      preventCloseOnClickOutside
      modalHeading={props.title}
      closeButtonLabel={texts.common.close}
      onRequestClose={({ type }) => {
        // Escape closes all others, and is pressed without a look.
        if (type === "click") props.close();
      }}
    >
      <Stack gap={5}>
        <InlineNotification
          kind="warning"
          lowContrast
          hideCloseButton
          title={texts.tokens.once}
          subtitle={props.warning}
        />
        <CopyBlock label={props.label} text={props.secret} testId="secret" />
        {props.children}
      </Stack>
    </Dialog>
  );
}
