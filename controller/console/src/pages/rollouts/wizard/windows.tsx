import { Button, FormLabel, TextInput } from "@carbon/react";
import { Add, TrashCan } from "@carbon/icons-react";
import { texts } from "@/texts";
import { DAYS, type Day, type WindowForm } from "./model";

const t = texts.rollouts.wizard.windows;

/** Zones that a browser knows; the controller knows the same ones. */
const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone")];

/** When partitions may be changed: none for any time. */
export function Windows(props: {
  windows: WindowForm[];
  fault: string | undefined;
  set: (windows: WindowForm[]) => void;
}) {
  const { windows, set } = props;
  const change = (position: number, part: Partial<WindowForm>) =>
    set(windows.map((window, at) => (at === position ? { ...window, ...part } : window)));
  const add = () => {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    set([...windows, { labels: "", days: [], from: "22:00", to: "04:00", zone }]);
  };
  return (
    <fieldset className="rollout-windows">
      <legend>{t.title}</legend>
      <p className="muted">{windows.length ? t.help : t.none}</p>
      {windows.map((window, position) => (
        // Windows have no name: their place is what they are.
        <Window
          key={position}
          number={position + 1}
          window={window}
          change={(part) => change(position, part)}
          drop={() => set(windows.filter((_, at) => at !== position))}
        />
      ))}
      {props.fault ? (
        <p className="rollout-fault" role="alert">
          {props.fault}
        </p>
      ) : null}
      <div>
        <Button kind="tertiary" size="sm" renderIcon={Add} onClick={add}>
          {t.add}
        </Button>
      </div>
      <datalist id="rollout-zones">
        {ZONES.map((zone) => (
          <option key={zone} value={zone} />
        ))}
      </datalist>
    </fieldset>
  );
}

function Window(props: {
  number: number;
  window: WindowForm;
  change: (part: Partial<WindowForm>) => void;
  drop: () => void;
}) {
  const { number, window, change } = props;
  const id = `rollout-window-${String(number)}`;
  const toggle = (day: Day) =>
    change({ days: DAYS.filter((each) => window.days.includes(each) !== (each === day)) });
  return (
    <div className="rollout-window" role="group" aria-label={t.one(number)}>
      <TextInput
        id={`${id}-labels`}
        size="sm"
        labelText={t.labels}
        placeholder={t.everybody}
        value={window.labels}
        onChange={({ target }) => change({ labels: target.value })}
      />
      <div>
        <FormLabel id={`${id}-days`}>{t.days}</FormLabel>
        <div role="group" aria-labelledby={`${id}-days`} className="rollout-days">
          {DAYS.map((day) => (
            <button
              key={day}
              type="button"
              aria-pressed={window.days.includes(day)}
              onClick={() => toggle(day)}
            >
              {texts.rollouts.days[day]}
            </button>
          ))}
        </div>
      </div>
      <TextInput
        id={`${id}-from`}
        size="sm"
        type="time"
        labelText={t.from}
        value={window.from}
        onChange={({ target }) => change({ from: target.value })}
      />
      <TextInput
        id={`${id}-to`}
        size="sm"
        type="time"
        labelText={t.to}
        value={window.to}
        onChange={({ target }) => change({ to: target.value })}
      />
      <TextInput
        id={`${id}-zone`}
        size="sm"
        list="rollout-zones"
        labelText={t.zone}
        value={window.zone}
        onChange={({ target }) => change({ zone: target.value })}
      />
      <Button
        kind="ghost"
        size="sm"
        hasIconOnly
        renderIcon={TrashCan}
        iconDescription={t.drop(number)}
        onClick={props.drop}
      />
    </div>
  );
}
