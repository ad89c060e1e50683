import { InlineNotification, Stack, Tag, TextInput } from "@carbon/react";
import { useEffect, useMemo, useState } from "react";
import type { RolloutPlan, RolloutRequest } from "@/api/schema";
import { ErrorState, Loaded } from "@/components/states";
import { count } from "@/hooks/format";
import { labelWords, readLabels, useLabelCounts } from "@/hooks/labels";
import { texts } from "@/texts";
import type { Change } from ".";
import { usePlan } from "../data";
import { LeftOut } from "../plan-view";
import type { Choice } from "./model";
import type { Asked } from "./request";

const t = texts.rollouts.wizard.whom;
/** So many labels are suggested: those that most have. */
const SUGGESTED = 40;
const TYPING_MS = 300;

/** The second step: how many partitions it is for. Policies select them themselves; a package asks for labels. */
export function Whom({ choice, change, asked }: { choice: Choice; change: Change; asked: Asked }) {
  const request = useCalm(asked.request);
  return (
    <Stack gap={6}>
      {choice.kind === "package" ? <Labels choice={choice} change={change} /> : <p>{t.policies}</p>}
      {asked.error ? <ErrorState error={asked.error} /> : <Matching request={request} />}
    </Stack>
  );
}

/** What was typed, once nothing more came for a moment. */
function useCalm<T>(value: T): T {
  const [calm, setCalm] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setCalm(value), TYPING_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return calm;
}

/** Whom it would reach now, as the planner has it. */
function Matching({ request }: { request: RolloutRequest | undefined }) {
  const plan = usePlan(request);
  if (!request) return null;
  return <Loaded query={plan}>{(data) => <Matches plan={data} />}</Loaded>;
}

function Matches({ plan }: { plan: RolloutPlan }) {
  const names = plan.waves.flatMap((wave) => wave.names);
  return (
    <div className="stack">
      <div className="tiles rollout-narrow" aria-live="polite">
        <div className="figure">
          <div className="label">{t.reached}</div>
          <div className="value">{count(plan.partitions)}</div>
        </div>
        {plan.policies.policies.map((policy) => (
          <div className="figure" key={policy.name ?? policy.file}>
            <div className="label">{t.selects(policy.name ?? policy.file ?? "")}</div>
            <div className="value">{count(policy.agents)}</div>
          </div>
        ))}
      </div>
      {plan.policies.valid ? null : (
        <InlineNotification kind="error" lowContrast hideCloseButton title={t.invalid} />
      )}
      {names.length ? (
        <p>
          {names.join(", ")}
          {plan.partitions > names.length
            ? ` ${texts.rollouts.plan.more(count(plan.partitions - names.length))}`
            : ""}
        </p>
      ) : (
        <p className="muted">{texts.rollouts.plan.nobody}</p>
      )}
      <LeftOut plan={plan} />
    </div>
  );
}

interface Suggested {
  name: string;
  value: string;
  agents: number;
}

/** Labels of agents that are there, with how many have each. */
function useSuggested(): Suggested[] {
  const { data } = useLabelCounts();
  return useMemo(() => {
    const all = Object.entries(data ?? {}).flatMap(([name, values]) =>
      Object.entries(values).map(([value, agents]) => ({ name, value, agents })),
    );
    const word = ({ name, value }: Suggested) => `${name}=${value}`;
    return all
      .sort((a, b) => b.agents - a.agents)
      .slice(0, SUGGESTED)
      .sort((a, b) => word(a).localeCompare(word(b), undefined, { numeric: true }));
  }, [data]);
}

function Labels({ choice, change }: { choice: Choice; change: Change }) {
  const suggested = useSuggested();
  const labels = readLabels(choice.labels);
  const toggle = (name: string, value: string) => {
    const { [name]: old, ...rest } = labels ?? {};
    change({ labels: labelWords(old === value ? rest : { ...rest, [name]: value }) });
  };
  return (
    <Stack gap={5}>
      <div className="rollout-narrow">
        <TextInput
          id="rollout-labels"
          labelText={t.labels}
          helperText={t.labelsHelp}
          placeholder="env=test, site=berlin"
          value={choice.labels}
          invalid={!labels}
          invalidText={texts.rollouts.wizard.faults.labels}
          onChange={({ target }) => change({ labels: target.value })}
        />
      </div>
      {suggested.length ? (
        <div role="group" aria-label={t.known} className="row">
          {suggested.map(({ name, value, agents }) => {
            const label = `${name}=${value}`;
            const on = labels?.[name] === value;
            return (
              <button
                key={label}
                type="button"
                className="rollout-label"
                aria-pressed={on}
                onClick={() => toggle(name, value)}
              >
                <Tag as="span" type={on ? "blue" : "gray"} size="md">
                  {`${label} · ${count(agents)}`}
                </Tag>
              </button>
            );
          })}
        </div>
      ) : null}
    </Stack>
  );
}
