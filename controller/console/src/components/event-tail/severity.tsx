import {
  ErrorFilled,
  Information,
  Notification,
  WarningAltFilled,
  WarningFilled,
  type CarbonIconType,
} from "@carbon/icons-react";
import { texts } from "@/texts";

/** A step of the scale, from a number on; the steps are those of syslog. */
const STEPS: readonly {
  from: number;
  word: keyof typeof texts.live.severities;
  icon: CarbonIconType;
  tone: string;
}[] = [
  { from: 9, word: "critical", icon: ErrorFilled, tone: "bad" },
  { from: 8, word: "error", icon: WarningAltFilled, tone: "bad" },
  { from: 6, word: "warning", icon: WarningFilled, tone: "warn" },
  { from: 4, word: "notice", icon: Notification, tone: "calm" },
  { from: 0, word: "info", icon: Information, tone: "calm" },
];

/** How grave an event is: number, word and icon. */
export function Severity({ value }: { value: number }) {
  const step = STEPS.find(({ from }) => value >= from);
  const Icon = step?.icon ?? Information;
  return (
    <span className={`state tone-${step?.tone ?? "calm"}`}>
      <Icon aria-hidden="true" />
      <span className="event-severity-number">{value}</span> {texts.live.severities[step?.word ?? "info"]}
    </span>
  );
}
