import { Breadcrumb, BreadcrumbItem, Button, ProgressIndicator, ProgressStep } from "@carbon/react";
import { useEffect, useRef, useState } from "react";
import { useLocation } from "wouter";
import { useSession } from "@/api/session";
import { Page } from "@/components/page";
import { useAddress } from "@/hooks/address";
import { readLabels } from "@/hooks/labels";
import { texts } from "@/texts";
import { How } from "./how";
import { begin, keep, keptOf, readForm, type Choice } from "./model";
import { Plan } from "./plan";
import { isChosen, useRequest } from "./request";
import { What } from "./what";
import { Whom } from "./whom";

const t = texts.rollouts.wizard;
const STEPS = ["what", "whom", "how", "plan"] as const;
type Step = (typeof STEPS)[number];

/** How a step changes what was chosen. */
export type Change = (change: Partial<Choice>) => void;

/** The step is in the address, what was chosen in memory: Back goes a step back and loses nothing. */
function useWizard() {
  const { who } = useSession();
  const user = who?.user ?? "";
  const [params, set] = useAddress();
  const named = STEPS.find((step) => step === params.get("step"));
  const [choice, setChoice] = useState(() => (named ? keptOf(user) : undefined) ?? begin(params));
  useEffect(() => keep(user, choice), [user, choice]);
  const go = (step: Step, replace = false) => set({ step }, replace);
  useEffect(() => {
    // Whoever comes back here by Back finds what was chosen; whoever comes anew begins anew.
    if (!named) go("what", true);
  });
  return {
    choice,
    change: (change: Partial<Choice>) => setChoice((old) => ({ ...old, ...change })),
    step: named ?? "what",
    go,
    forget: () => keep(user, undefined),
  };
}

/** Starts a rollout in four steps: what, whom, how, and the plan of it. */
export function Wizard() {
  const { choice, change, step, go, forget } = useWizard();
  const [, navigate] = useLocation();
  const { strategy, faults } = readForm(choice.form);
  const asked = useRequest(choice, strategy);
  const missing = missingOf(choice, Object.keys(faults).length > 0);
  const position = STEPS.indexOf(step);
  const next = STEPS[position + 1];
  const previous = STEPS[position - 1];
  return (
    <Page title={t.title} above={<Crumb />}>
      <ProgressIndicator
        currentIndex={position}
        spaceEqually
        className="rollout-steps"
        onChange={(index) => go(STEPS[index] ?? "what")}
      >
        {STEPS.map((name) => (
          <ProgressStep key={name} label={t.steps[name]} complete={STEPS.indexOf(name) < position} />
        ))}
      </ProgressIndicator>
      <StepFrame step={step}>
        {step === "what" ? <What choice={choice} change={change} /> : null}
        {step === "whom" ? <Whom choice={choice} change={change} asked={asked} /> : null}
        {step === "how" ? <How choice={choice} change={change} faults={faults} /> : null}
        {step === "plan" ? (
          <Plan choice={choice} change={change} asked={asked} missing={missing.plan} forget={forget} />
        ) : null}
      </StepFrame>
      <div className="row rollout-next">
        <Button kind="ghost" onClick={() => navigate("/rollouts")}>
          {texts.common.cancel}
        </Button>
        {previous ? (
          <Button kind="secondary" onClick={() => go(previous)}>
            {t.back}
          </Button>
        ) : null}
        {next ? (
          <Button disabled={Boolean(missing[step])} title={missing[step]} onClick={() => go(next)}>
            {t.next}
          </Button>
        ) : null}
        {next && missing[step] ? <span className="muted">{missing[step]}</span> : null}
      </div>
    </Page>
  );
}

/** Why a step cannot be left yet. */
function missingOf(choice: Choice, faulty: boolean): Record<Step, string | undefined> {
  const what = isChosen(choice) ? undefined : t.missing.what;
  const whom = choice.kind === "package" && !readLabels(choice.labels) ? t.faults.labels : undefined;
  const how = faulty ? t.missing.how : undefined;
  return { what, whom, how, plan: what ?? whom ?? how };
}

/** Heading of a step; it gets the focus when the step changes, so that the keyboard goes on there. */
function StepFrame({ step, children }: { step: Step; children: React.ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const last = useRef(step);
  useEffect(() => {
    if (last.current !== step) heading.current?.focus();
    last.current = step;
  }, [step]);
  return (
    <section className="rollout-step" aria-labelledby="rollout-step">
      <h2 id="rollout-step" ref={heading} tabIndex={-1}>
        {t.headings[step]}
      </h2>
      {children}
    </section>
  );
}

function Crumb() {
  const [, navigate] = useLocation();
  return (
    <Breadcrumb noTrailingSlash>
      <BreadcrumbItem
        href="/rollouts"
        onClick={(event) => {
          event.preventDefault();
          navigate("/rollouts");
        }}
      >
        {texts.rollouts.title}
      </BreadcrumbItem>
    </Breadcrumb>
  );
}
