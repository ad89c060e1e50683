import { Checkbox, ContentSwitcher, Select, SelectItem, Stack, Switch, TextInput } from "@carbon/react";
import { texts } from "@/texts";
import type { Change } from ".";
import { formOf, presetOf, PRESETS, type Choice, type Faults, type Form } from "./model";
import { Windows } from "./windows";

const t = texts.rollouts.wizard.how;

/** Fields that are a line of text, in their groups. */
const STEPS: readonly TextField[] = ["canaries", "canaryLabels", "waves", "maxUnavailable", "soak"];
const LIMITS: readonly TextField[] = ["maxFailures", "success", "deadline", "recovery"];
const GATES: readonly TextField[] = ["lag", "errors", "least", "most"];
type TextField = keyof typeof t.fields;

/** The third step: presets, and each setting of the strategy. */
export function How({ choice, change, faults }: { choice: Choice; change: Change; faults: Faults }) {
  const { form } = choice;
  const set = (part: Partial<Form>) => change({ form: { ...form, ...part } });
  const field = (name: TextField) => (
    <TextInput
      key={name}
      id={`rollout-${name}`}
      labelText={t.fields[name]}
      helperText={t.help[name]}
      value={form[name]}
      invalid={Boolean(faults[name])}
      invalidText={faults[name]}
      onChange={({ target }) => set({ [name]: target.value })}
    />
  );
  return (
    <Stack gap={6}>
      <Presets choice={choice} change={change} />
      <fieldset className="rollout-fields">
        <legend>{t.steps}</legend>
        {STEPS.map(field)}
      </fieldset>
      <fieldset className="rollout-fields">
        <legend>{t.limits}</legend>
        {LIMITS.map(field)}
        <Select
          id="rollout-failure"
          labelText={t.onFailure}
          helperText={t.onFailureHelp}
          value={form.onFailure}
          onChange={({ target }) => set({ onFailure: target.value === "halt" ? "halt" : "roll_back" })}
        >
          <SelectItem value="roll_back" text={texts.rollouts.settings.failure.roll_back} />
          <SelectItem value="halt" text={texts.rollouts.settings.failure.halt} />
        </Select>
      </fieldset>
      <fieldset className="rollout-fields">
        <legend>{t.gates}</legend>
        <Checkbox
          id="rollout-health"
          labelText={t.health}
          helperText={t.healthHelp}
          checked={form.health}
          onChange={(_, { checked }) => set({ health: checked })}
        />
        {GATES.map(field)}
      </fieldset>
      <Windows windows={form.windows} fault={faults.windows} set={(windows) => set({ windows })} />
    </Stack>
  );
}

/** Which preset the form still is; none once something was changed. */
function presetIn({ form, kind }: Choice) {
  const { windows, canaryLabels } = form;
  const typed = JSON.stringify(form);
  return PRESETS.find((preset) => {
    return JSON.stringify({ ...formOf(presetOf(preset, kind)), windows, canaryLabels }) === typed;
  });
}

function Presets({ choice, change }: { choice: Choice; change: Change }) {
  const present = presetIn(choice);
  const pick = (index: number | undefined) => {
    const preset = PRESETS[index ?? -1];
    if (!preset) return;
    // Windows and the canaries' labels are the site's own: a preset knows nothing of them.
    const { windows, canaryLabels } = choice.form;
    change({ preset, form: { ...formOf(presetOf(preset, choice.kind)), windows, canaryLabels } });
  };
  return (
    <div className="rollout-narrow">
      <ContentSwitcher
        key={present ?? "own"}
        size="md"
        aria-label={t.presets}
        selectedIndex={PRESETS.indexOf(present ?? choice.preset)}
        onChange={({ index }) => pick(index)}
      >
        {PRESETS.map((preset) => (
          <Switch key={preset} name={preset} text={t.preset[preset]} />
        ))}
      </ContentSwitcher>
      <p className="muted">{present ? t.presetHelp[present] : t.own(t.preset[choice.preset])}</p>
    </div>
  );
}
