import { Button, Checkbox, InlineNotification, Stack, TextInput } from "@carbon/react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { ApiError, wordsOf } from "@/api/problem";
import { useFourEyes } from "@/api/proposals";
import type { DraftText, RolloutPlan, RolloutRequest } from "@/api/schema";
import { OnlyFor } from "@/components/only-for";
import { ErrorState, Loaded } from "@/components/states";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import type { Change } from ".";
import { usePlan } from "../data";
import { PlanView } from "../plan-view";
import { Settings } from "../settings";
import type { Choice } from "./model";
import type { Asked } from "./request";

const t = texts.rollouts.wizard.plan;

/** The last step: what would be done, word for word, and the start of it. */
export function Plan(props: {
  choice: Choice;
  change: Change;
  asked: Asked;
  missing: string | undefined;
  forget: () => void;
}) {
  const { choice, change, asked, missing } = props;
  const request = missing ? undefined : asked.request;
  const plan = usePlan(request);
  if (missing) return <p>{missing}</p>;
  if (asked.error) return <ErrorState error={asked.error} />;
  return (
    <Stack gap={6}>
      <div className="rollout-narrow">
        <TextInput
          id="rollout-description"
          labelText={t.description}
          helperText={t.descriptionHelp}
          maxLength={200}
          value={choice.description}
          onChange={({ target }) => change({ description: target.value })}
        />
      </div>
      <Loaded query={plan}>
        {(data) => (
          <>
            <PlanView plan={data} />
            <Start {...props} plan={data} request={request} stale={plan.isFetching} again={plan.refetch} />
          </>
        )}
      </Loaded>
    </Stack>
  );
}

interface Ready {
  choice: Choice;
  change: Change;
  asked: Asked;
  forget: () => void;
  plan: RolloutPlan;
  request: RolloutRequest | undefined;
  /** Another plan is on its way. */
  stale: boolean;
  again: () => unknown;
}

function Start(props: Ready) {
  const { choice, change, plan, request } = props;
  const fourEyes = useFourEyes();
  const start = useStart(props);
  const nothing = plan.partitions === 0 && !changesSomething(plan);
  const why = nothing ? t.nothing : undefined;
  const outdated = start.error instanceof ApiError && start.error.status === 412;
  return (
    <Stack gap={5}>
      {request?.strategy ? (
        <div>
          <h3>{texts.rollouts.settings.title}</h3>
          <Settings strategy={request.strategy} labels={request.labels ?? {}} />
        </div>
      ) : null}
      {choice.kind === "policies" && choice.drafts.length ? (
        <Checkbox
          id="rollout-delete-drafts"
          labelText={t.deleteDrafts}
          helperText={t.deleteDraftsHelp}
          checked={choice.deleteDrafts}
          onChange={(_, { checked }) => change({ deleteDrafts: checked })}
        />
      ) : null}
      {start.error ? (
        <InlineNotification
          kind="error"
          lowContrast
          hideCloseButton
          title={texts.common.notDone}
          subtitle={wordsOf(start.error)}
        />
      ) : null}
      {fourEyes ? <p>{t.fourEyes}</p> : null}
      <div className="row">
        <OnlyFor least="operator" told>
          <Button
            disabled={Boolean(why) || !plan.policies.valid || props.stale || start.isPending || !request}
            title={why}
            onClick={() => request && start.mutate(request)}
          >
            {fourEyes ? t.propose : t.start}
          </Button>
        </OnlyFor>
        <Button
          kind={outdated ? "primary" : "ghost"}
          disabled={props.stale}
          onClick={() => {
            start.reset();
            props.again();
          }}
        >
          {t.again}
        </Button>
        {why ? <span className="muted">{why}</span> : null}
      </div>
    </Stack>
  );
}

function changesSomething(plan: RolloutPlan): boolean {
  return plan.policies.policies.some(({ action }) => action !== "unchanged");
}

/** Starts what was planned: on the revisions that the plan was made from, and once, however often it is sent. */
function useStart({ plan, choice, asked, forget }: Ready) {
  const client = useQueryClient();
  const toasts = useToasts();
  const [, navigate] = useLocation();
  const sent = useRef<{ text: string; key: string }>(undefined);
  return useMutation({
    mutationFn: async (request: RolloutRequest) => {
      const expected = Object.fromEntries(plan.policies.policies.map(({ name, from }) => [name, from]));
      const whole = request.package ? request : { ...request, expected };
      const text = JSON.stringify(whole);
      if (sent.current?.text !== text) sent.current = { text, key: crypto.randomUUID() };
      const { data } = await api.POST("/api/v1/rollouts", {
        params: { header: { "Idempotency-Key": sent.current.key } },
        body: whole,
      });
      return data;
    },
    onSettled: (_, error) => {
      // A refusal is remembered with its key; another try is another request.
      if (error instanceof ApiError && error.status > 0) sent.current = undefined;
    },
    onSuccess: async (begun) => {
      forget();
      await client.invalidateQueries({ queryKey: ["rollouts"] });
      if (begun && "waves" in begun) {
        toasts.done(t.started(begun.id));
        navigate(`/rollouts/${String(begun.id)}`);
        if (choice.deleteDrafts) await deleteDrafts(asked.drafts).catch(toasts.failed);
        await client.invalidateQueries({ queryKey: ["drafts"] });
      } else {
        toasts.done(t.proposed, begun?.summary);
        await client.invalidateQueries({ queryKey: ["proposals"] });
        navigate("/rollouts");
      }
    },
  });
}

/** Only as they were rolled out: what was changed meanwhile is kept. */
async function deleteDrafts(drafts: DraftText[]): Promise<void> {
  for (const { draft } of drafts) {
    await api.DELETE("/api/v1/drafts/{name}", {
      params: { path: { name: draft.name } },
      headers: { "If-Match": `"${draft.etag.replaceAll('"', "")}"` },
    });
  }
}
