import { InlineNotification, Modal, Stack } from "@carbon/react";
import type { ReactNode } from "react";
import { texts } from "@/texts";
import { CopyBlock } from "./copy-block";
import { useFocusBack } from "./form-modal";

/** A secret that is told once: it is gone when this closes, and nothing closes it by mistake. */
export function ShownOnce(props: {
  title: string;
  warning: string;
  label: string;
  secret: string;
  close: () => void;
  children?: ReactNode;
}) {
  useFocusBack();
  return (
    <Modal
      open
      passiveModal
      size="sm"
      preventCloseOnClickOutside
      modalHeading={props.title}
      closeButtonLabel={texts.common.close}
      onRequestClose={props.close}
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
    </Modal>
  );
}
