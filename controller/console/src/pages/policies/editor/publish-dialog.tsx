import { InlineNotification, RadioButton, RadioButtonGroup, Stack, TextInput } from "@carbon/react";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { wordsOf } from "@/api/problem";
import { useFourEyes } from "@/api/proposals";
import { Dialog } from "@/components/dialog";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import { Changes } from "../changes";
import type { Check, RevisionView } from "../data";
import { publishDraft, type Outcome } from "../publish";
import { useTold } from "../told";
import type { About } from "./editor";

const t = texts.policies.publish;

interface Props extends About {
  name: string;
  found: Check;
  published: RevisionView | undefined;
  close: () => void;
}

/** Asks how the draft gets into force: at once everywhere, or by a rollout; and says what that means. */
export function PublishDialog({ name, keeper, standing, found, published, close }: Props) {
  const [way, setWay] = useState<"now" | "rollout">("now");
  const [comment, setComment] = useState("");
  const [, navigate] = useLocation();
  const fourEyes = useFourEyes();
  const told = useTold();
  const publishing = useMutation({
    mutationFn: () => publishDraft(name, standing.etag ?? "", comment.trim()),
    onSuccess: (outcome: Outcome) => {
      // With four eyes the draft stays until the proposal is approved.
      if (outcome.done) keeper.end();
      told(outcome);
      navigate(outcome.done ? `/policies/${outcome.done.revision.name}/status` : "/policies");
    },
  });
  const go = () => (way === "now" ? publishing.mutate() : navigate(`/rollouts/new?draft=${name}`));
  const agents = found.agents ?? 0;
  return (
    <Dialog
      busy={publishing.isPending}
      modalHeading={published ? t.title(published.name) : t.titleNew(found.name ?? name)}
      primaryButtonText={way === "rollout" ? t.toRollout : fourEyes ? t.propose : t.action}
      secondaryButtonText={texts.common.cancel}
      onRequestSubmit={go}
      onRequestClose={close}
    >
      <Stack gap={5}>
        <p>{t.selects(count(agents), agents)}</p>
        {fourEyes ? (
          <InlineNotification
            kind="info"
            lowContrast
            hideCloseButton
            title={t.fourEyesTitle}
            subtitle={t.fourEyes}
          />
        ) : null}
        <RadioButtonGroup
          legendText={t.how}
          name="way"
          orientation="vertical"
          valueSelected={way}
          onChange={(value) => setWay(value === "rollout" ? "rollout" : "now")}
        >
          <RadioButton value="now" labelText={t.now} id="way-now" />
          <RadioButton value="rollout" labelText={t.rollout} id="way-rollout" />
        </RadioButtonGroup>
        {way === "now" ? (
          <TextInput
            id="publish-comment"
            labelText={texts.policies.comment.label}
            helperText={texts.policies.comment.help}
            maxLength={200}
            value={comment}
            onChange={(event) => setComment(event.target.value)}
          />
        ) : null}
        <Warnings found={found} />
        {published ? <Changes of={found.changes ?? []} label={t.changes} /> : null}
        {publishing.error ? (
          <InlineNotification
            kind="error"
            lowContrast
            hideCloseButton
            title={texts.common.notDone}
            subtitle={wordsOf(publishing.error)}
          />
        ) : null}
      </Stack>
    </Dialog>
  );
}

function Warnings({ found }: { found: Check }) {
  return (found.warnings ?? []).map((warning) => (
    <InlineNotification
      key={`${warning.path ?? ""}${warning.message}`}
      kind="warning"
      lowContrast
      hideCloseButton
      title={texts.policies.effects.warning}
      subtitle={warning.path ? `${warning.path}: ${warning.message}` : warning.message}
    />
  ));
}
