import { Select, SelectItem } from "@carbon/react";
import { span } from "@/hooks/format";

const HOUR = 3_600;
const DAY = 24 * HOUR;

/** Lives that tokens are given, in seconds. */
export const LIVES = [HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY];
/** Those of programs, which stay. */
export const LONG_LIVES = [DAY, 7 * DAY, 30 * DAY, 90 * DAY, 180 * DAY, 366 * DAY];

/** Asks how long something shall be good. */
export function LifeSelect(props: {
  id: string;
  label: string;
  help?: string;
  lives: readonly number[];
  value: number;
  change: (seconds: number) => void;
}) {
  return (
    <Select
      id={props.id}
      labelText={props.label}
      helperText={props.help}
      value={props.value}
      onChange={(event) => props.change(Number(event.target.value))}
    >
      {props.lives.map((seconds) => (
        <SelectItem key={seconds} value={seconds} text={span(seconds * 1_000)} />
      ))}
    </Select>
  );
}
