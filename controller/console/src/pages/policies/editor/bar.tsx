import { Button } from "@carbon/react";
import { CheckmarkFilled, CircleDash, ErrorFilled, Renew, WarningFilled } from "@carbon/icons-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { wordsOf } from "@/api/problem";
import { useFourEyes } from "@/api/proposals";
import { useSession } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { useQueryClient } from "@tanstack/react-query";
import type { Check, RevisionView } from "../data";
import type { About } from "./editor";
import { PublishDialog } from "./publish-dialog";

const t = texts.policies.editor;

interface Props extends About {
  name: string;
  text: string;
  /** What the check says of the text as it stands; nothing while it is not known. */
  found: Check | undefined;
  published: RevisionView | undefined;
}

/** Where the draft stands, and what can be done with it. */
export function Bar(props: Props) {
  const { name, keeper, standing, found, published } = props;
  const [publishing, setPublishing] = useState(false);
  const [discarding, setDiscarding] = useState(false);
  const fourEyes = useFourEyes();
  const settled = standing.phase === "saved" || standing.phase === "same";
  const ready = standing.draft !== undefined && settled && found?.valid === true && !isOutdated(props);
  return (
    <div className="policy-bar">
      <SaveState standing={standing} />
      <div className="actions row">
        {standing.draft ? (
          <Button kind="ghost" size="sm" onClick={() => setDiscarding(true)}>
            {t.discard}
          </Button>
        ) : null}
        <Button
          kind="tertiary"
          size="sm"
          disabled={settled || standing.phase === "conflict"}
          onClick={() => void keeper.save()}
        >
          {t.save}
        </Button>
        <Button size="sm" disabled={!ready} onClick={() => setPublishing(true)} aria-describedby="why-not">
          {fourEyes ? t.propose : t.publish}
        </Button>
      </div>
      <span id="why-not" className="policy-why muted">
        {ready ? "" : reasonOf(props)}
      </span>
      {publishing && found ? (
        <PublishDialog {...{ name, keeper, standing, found, published }} close={() => setPublishing(false)} />
      ) : null}
      {discarding ? <Discard {...props} close={() => setDiscarding(false)} /> : null}
    </div>
  );
}

/** Another revision than the one that the draft was made from is in force. */
function isOutdated({ standing, published }: Props): boolean {
  return standing.draft !== undefined && Number(standing.draft.base) !== Number(published?.revision ?? 0);
}

/** Why it cannot be published as it stands. */
function reasonOf(props: Props): string {
  const { standing, found } = props;
  if (standing.phase === "same") return t.why.same;
  if (standing.phase !== "saved") return t.why.unsaved;
  if (isOutdated(props)) return t.why.outdated;
  if (!found) return t.why.checking;
  return t.why.faults(found.faults?.length ?? 0);
}

const PHASES = {
  same: { icon: CircleDash, tone: "calm" },
  unsaved: { icon: CircleDash, tone: "calm" },
  saving: { icon: Renew, tone: "calm" },
  saved: { icon: CheckmarkFilled, tone: "good" },
  conflict: { icon: WarningFilled, tone: "warn" },
  failed: { icon: ErrorFilled, tone: "bad" },
} as const;

function SaveState({ standing }: { standing: About["standing"] }) {
  const { expired } = useSession();
  const { icon: Icon, tone } = PHASES[standing.phase];
  const failed = standing.phase === "failed";
  return (
    <span className={`state tone-${tone} policy-saved`}>
      <Icon aria-hidden="true" />
      <span role="status">{t.phases[standing.phase]}</span>
      {standing.phase === "saved" && standing.draft ? (
        <span className="muted">
          <Time at={standing.draft.updated_at} relative /> {texts.policies.list.by(standing.draft.updated_by)}
        </span>
      ) : null}
      {failed ? <span>{expired ? t.signInAgain : wordsOf(standing.error)}</span> : null}
    </span>
  );
}

function Discard({ name, keeper, standing, published, close }: Props & { close: () => void }) {
  const client = useQueryClient();
  const [, navigate] = useLocation();
  const run = async () => {
    await keeper.save();
    // In a conflict it is the other's text that is deleted: it was told who saved it.
    const { other, etag = "*" } = keeper.snapshot();
    await api.DELETE("/api/v1/drafts/{name}", {
      params: { path: { name } },
      headers: { "if-match": other?.etag ?? etag },
    });
    keeper.end();
    void client.invalidateQueries({ queryKey: ["drafts"] });
    navigate(published ? `/policies/${published.name}` : "/policies");
  };
  return (
    <Confirm
      danger
      title={t.discardTitle(standing.draft?.name ?? name)}
      action={t.discard}
      run={run}
      close={close}
    >
      <p>{published ? t.discardHelp(Number(published.revision)) : t.discardNew}</p>
    </Confirm>
  );
}
