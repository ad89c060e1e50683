import { ErrorFilled, InformationFilled, WarningFilled } from "@carbon/icons-react";
import type { ReactNode } from "react";

const KINDS = {
  info: { icon: InformationFilled, tone: "info" },
  warning: { icon: WarningFilled, tone: "warn" },
  error: { icon: ErrorFilled, tone: "bad" },
} as const;

/** Something to be known where it stands, with what can be done about it: Carbon's notifications take no buttons. */
export function Notice(props: {
  kind: keyof typeof KINDS;
  title: string;
  text?: string;
  /** It came up while somebody worked and must be read out. */
  urgent?: boolean;
  children?: ReactNode;
}) {
  const { icon: Icon, tone } = KINDS[props.kind];
  return (
    <div className={`notice notice-${props.kind} tone-${tone}`} role={props.urgent ? "alert" : undefined}>
      <Icon aria-hidden="true" size={20} />
      <div>
        <p>
          <strong>{props.title}</strong> {props.text}
        </p>
        {props.children}
      </div>
    </div>
  );
}
