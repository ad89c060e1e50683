import { Button, RadioButton, RadioButtonGroup, TextInput } from "@carbon/react";
import { useEffect, useRef, useState } from "react";
import { span } from "@/hooks/format";
import { CopyBlock } from "@/pages/admin/copy-block";
import { texts } from "@/texts";
import { Arrival } from "./arrival";
import {
  checkCommand,
  configuration,
  digits,
  enrolCommand,
  filled,
  passwordCommand,
  runCommand,
  serviceCommand,
  type Target,
} from "./commands";
import type { TokenCreated } from "./queries";
import "./tokens.scss";

/** A new token with all that has to be done on the agent's host, ready to be copied, and what comes of it. */
export function Ready({ created, close }: { created: TokenCreated; close: () => void }) {
  const t = texts.tokens;
  const heading = useRef<HTMLHeadingElement>(null);
  const [target, setTarget] = useState<Target>({
    name: "",
    file: "",
    address: "",
    user: "",
    check: "pin",
    pin: "",
    caFile: "",
  });
  useEffect(() => {
    // After the dialog has given the focus back: what matters now is here.
    const timer = setTimeout(() => heading.current?.focus(), 50);
    return () => clearTimeout(timer);
  }, []);
  const life = span(Date.parse(created.view.expires_at) - Date.parse(created.view.created_at));
  return (
    <section className="panel" aria-labelledby="ready-title">
      <div className="toolbar">
        <div>
          <h2 id="ready-title" ref={heading} tabIndex={-1}>
            {t.ready}
          </h2>
          <p>{t.readyHelp(life)}</p>
        </div>
        <Button kind="secondary" size="md" onClick={close}>
          {t.readyDone}
        </Button>
      </div>
      <div className="ready">
        <div>
          <Asked target={target} change={(part) => setTarget({ ...target, ...part })} />
          <Arrival token={created.view} />
        </div>
        <Commands target={target} token={created.token} />
      </div>
    </section>
  );
}

function Commands({ target, token }: { target: Target; token: string }) {
  const { step } = texts.tokens;
  const { file, user } = filled(target);
  const service = serviceCommand(target);
  return (
    <div className="stack">
      <CopyBlock label={step.file(file)} text={configuration(target)} testId="agent-configuration" />
      <CopyBlock label={step.password(user)} text={passwordCommand(target)} testId="password-command" />
      <CopyBlock label={step.enrol} text={enrolCommand(target, token)} testId="enrol-command" />
      <CopyBlock label={step.check} text={checkCommand(target)} testId="check-command" />
      {service ? <CopyBlock label={step.service} text={service} testId="service-command" /> : null}
      <CopyBlock label={step.run} text={runCommand(target)} testId="run-command" />
    </div>
  );
}

interface AskedProps {
  target: Target;
  change: (part: Partial<Target>) => void;
}

/** What nobody but the admin knows. */
function Asked({ target, change }: AskedProps) {
  const t = texts.tokens;
  const shown = filled(target);
  return (
    <fieldset className="asked">
      <legend>{t.who}</legend>
      <p className="sub">{t.whoHelp}</p>
      <Field
        id="target-name"
        label={t.name}
        value={target.name}
        example={t.blanks.name}
        set={(name) => change({ name })}
      />
      <Field
        id="target-address"
        label={t.address}
        value={target.address}
        example={t.blanks.addressExample}
        set={(address) => change({ address })}
      />
      <Field
        id="target-user"
        label={t.user}
        value={target.user}
        example={t.blanks.user}
        set={(user) => change({ user })}
      />
      <RadioButtonGroup
        legendText={t.check}
        name="target-check"
        orientation="vertical"
        valueSelected={target.check}
        onChange={(value) => change({ check: value === "ca" ? "ca" : "pin" })}
      >
        <RadioButton id="target-check-pin" value="pin" labelText={t.checkPin} />
        <RadioButton id="target-check-ca" value="ca" labelText={t.checkCa} />
      </RadioButtonGroup>
      {target.check === "pin" ? (
        <Fingerprint pin={target.pin} set={(pin) => change({ pin })} />
      ) : (
        <Field
          id="target-ca"
          label={t.caFile}
          value={target.caFile}
          example={shown.caFile}
          set={(caFile) => change({ caFile })}
        />
      )}
      <Field
        id="target-file"
        label={t.file}
        value={target.file}
        example={shown.file}
        set={(file) => change({ file })}
      />
    </fieldset>
  );
}

function Fingerprint({ pin, set }: { pin: string; set: (pin: string) => void }) {
  const t = texts.tokens;
  return (
    <TextInput
      id="target-pin"
      size="sm"
      labelText={t.pin}
      helperText={t.pinHelp}
      autoComplete="off"
      spellCheck={false}
      value={pin}
      invalid={pin.trim() !== "" && !/^[0-9a-f]{64}$/i.test(digits(pin))}
      invalidText={t.pinInvalid}
      onChange={(event) => set(event.target.value)}
    />
  );
}

function Field(props: {
  id: string;
  label: string;
  value: string;
  example: string;
  set: (value: string) => void;
}) {
  return (
    <TextInput
      id={props.id}
      size="sm"
      labelText={props.label}
      placeholder={props.example}
      autoComplete="off"
      spellCheck={false}
      value={props.value}
      onChange={(event) => props.set(event.target.value)}
    />
  );
}
