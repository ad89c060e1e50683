import {
  Button,
  Checkbox,
  CheckboxGroup,
  ComboBox,
  RadioButton,
  RadioButtonGroup,
  Select,
  SelectItem,
  Stack,
} from "@carbon/react";
import { TrashCan } from "@carbon/icons-react";
import { Link } from "wouter";
import type { DraftView, PolicyRevisionView } from "@/api/schema";
import { Loaded } from "@/components/states";
import { inZone } from "@/hooks/format";
import { usePackages, versionsOf } from "@/pages/packages/data";
import { texts } from "@/texts";
import type { Change } from ".";
import { formOf, presetOf, type Choice } from "./model";
import { useDrafts, usePolicies, useRevisions } from "./request";

const t = texts.rollouts.wizard.what;

/** The first step: drafts and policies, or a package. */
export function What({ choice, change }: { choice: Choice; change: Change }) {
  const turn = (kind: Choice["kind"]) =>
    // What a preset means for an upgrade is something else.
    change({ kind, form: formOf(presetOf(choice.preset, kind)) });
  return (
    <Stack gap={6}>
      <RadioButtonGroup
        name="rollout-kind"
        legendText={t.kind}
        valueSelected={choice.kind}
        onChange={(kind) => turn(kind === "package" ? "package" : "policies")}
      >
        <RadioButton id="rollout-kind-policies" value="policies" labelText={t.policies} />
        <RadioButton id="rollout-kind-package" value="package" labelText={t.package} />
      </RadioButtonGroup>
      {choice.kind === "policies" ? (
        <>
          <Drafts choice={choice} change={change} />
          <Policies choice={choice} change={change} />
        </>
      ) : (
        <Packages choice={choice} change={change} />
      )}
    </Stack>
  );
}

function Drafts({ choice, change }: { choice: Choice; change: Change }) {
  const query = useDrafts();
  const toggle = (name: string, on: boolean) =>
    change({ drafts: on ? [...choice.drafts, name] : choice.drafts.filter((other) => other !== name) });
  return (
    <Loaded query={query}>
      {(drafts) => (
        <CheckboxGroup legendText={t.drafts}>
          {drafts.length === 0 ? (
            <p className="muted">
              {t.noDrafts}{" "}
              <Link className="cds--link" href="/policies">
                {t.toPolicies}
              </Link>
            </p>
          ) : null}
          {drafts.map((draft) => (
            <Checkbox
              key={draft.name}
              id={`rollout-draft-${draft.name}`}
              labelText={draftWords(draft)}
              checked={choice.drafts.includes(draft.name)}
              // One that became invalid after it was chosen can still be left out.
              disabled={!draft.valid && !choice.drafts.includes(draft.name)}
              onChange={(_, { checked }) => toggle(draft.name, checked)}
            />
          ))}
          {choice.drafts
            .filter((name) => !drafts.some((draft) => draft.name === name))
            .map((name) => (
              <Checkbox
                key={name}
                id={`rollout-draft-${name}`}
                labelText={t.draftGone(name)}
                checked
                onChange={() => toggle(name, false)}
              />
            ))}
        </CheckboxGroup>
      )}
    </Loaded>
  );
}

function draftWords(draft: DraftView): string {
  const when = inZone(new Date(draft.updated_at));
  const state = draft.valid
    ? draft.outdated
      ? t.outdated
      : ""
    : t.invalid(draft.faults?.[0]?.message ?? "");
  return t.draft(draft.name, draft.policy || draft.name, draft.updated_by, when, state);
}

function Policies({ choice, change }: { choice: Choice; change: Change }) {
  const query = usePolicies();
  const set = (name: string, to: number | "remove" | undefined) =>
    change({ policies: choice.policies.map((each) => (each.name === name ? { name, to } : each)) });
  return (
    <Loaded query={query}>
      {(policies) => {
        const left = policies
          .map(({ name }) => name)
          .filter((name) => !choice.policies.some((chosen) => chosen.name === name));
        return (
          <Stack gap={5}>
            {choice.policies.map(({ name, to }) => (
              <PolicyRow
                key={name}
                name={name}
                to={to}
                current={policies.find((policy) => policy.name === name)}
                set={(value) => set(name, value)}
                drop={() => change({ policies: choice.policies.filter((each) => each.name !== name) })}
              />
            ))}
            <div className="rollout-narrow">
              <ComboBox
                // Empty again after each one.
                key={choice.policies.length}
                id="rollout-policy"
                titleText={t.other}
                helperText={t.otherHelp}
                items={left}
                onChange={({ selectedItem }) => {
                  if (!selectedItem) return;
                  change({ policies: [...choice.policies, { name: selectedItem, to: undefined }] });
                }}
              />
            </div>
          </Stack>
        );
      }}
    </Loaded>
  );
}

function PolicyRow(props: {
  name: string;
  to: number | "remove" | undefined;
  current: PolicyRevisionView | undefined;
  set: (to: number | "remove" | undefined) => void;
  drop: () => void;
}) {
  const { name, to, current } = props;
  const { data } = useRevisions(name);
  const older = (data ?? []).filter(({ revision, removed }) => !removed && revision !== current?.revision);
  return (
    <div className="rollout-policy">
      <Select
        id={`rollout-policy-${name}`}
        labelText={t.policyTo(name, current?.revision)}
        value={to === undefined ? "" : String(to)}
        onChange={({ target: { value } }) =>
          props.set(value === "" ? undefined : value === "remove" ? "remove" : Number(value))
        }
      >
        <SelectItem value="" text={older.length ? t.choose : t.noOlder} />
        {older.map(({ revision, published_at, published_by }) => (
          <SelectItem
            key={revision}
            value={String(revision)}
            text={t.revision(revision, inZone(new Date(published_at)), published_by)}
          />
        ))}
        {current ? <SelectItem value="remove" text={t.remove} /> : null}
      </Select>
      <Button
        kind="ghost"
        size="md"
        hasIconOnly
        renderIcon={TrashCan}
        iconDescription={t.drop(name)}
        onClick={props.drop}
      />
    </div>
  );
}

function Packages({ choice, change }: { choice: Choice; change: Change }) {
  const query = usePackages();
  return (
    <Loaded query={query}>
      {(packages) => {
        const versions = versionsOf(packages).filter(({ offered }) => offered);
        const known = versions.some(({ title }) => title === choice.pack);
        if (versions.length === 0 && !choice.pack) {
          return (
            <p className="muted">
              {t.noPackages}{" "}
              <Link className="cds--link" href="/packages">
                {t.toPackages}
              </Link>
            </p>
          );
        }
        return (
          <div className="rollout-narrow">
            <Select
              id="rollout-package"
              labelText={t.version}
              helperText={t.versionHelp}
              value={choice.pack}
              onChange={({ target }) => change({ pack: target.value })}
            >
              <SelectItem value="" text={t.choose} />
              {versions.map(({ title, platforms }) => (
                <SelectItem key={title} value={title} text={`${title} (${platforms.join(", ")})`} />
              ))}
              {choice.pack && !known ? (
                <SelectItem value={choice.pack} text={t.notOffered(choice.pack)} />
              ) : null}
            </Select>
          </div>
        );
      }}
    </Loaded>
  );
}
