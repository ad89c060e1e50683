import { Button } from "@carbon/react";
import { lazy, Suspense, useState } from "react";
import { Time } from "@/components/time";
import { LoadingState } from "@/components/states";
import { texts } from "@/texts";
import { Notice } from "../notice";
import type { About } from "./editor";

const SideBySide = lazy(() => import("../code/merge-view"));
const t = texts.policies.conflict;

interface Props extends About {
  text: string;
  /** Puts another text into the editor. */
  replace: (text: string) => void;
}

/** Somebody else saved the draft: who, when, what, and the choice whose text stays. Nothing is saved until then. */
export function Conflict({ keeper, standing, text, replace }: Props) {
  const [comparing, setComparing] = useState(false);
  if (standing.phase !== "conflict") return null;
  const { other } = standing;
  const takeTheirs = () => {
    const theirs = keeper.takeTheirs();
    if (theirs !== undefined) replace(theirs);
  };
  return (
    <section className="policy-conflict" aria-label={t.title}>
      <Notice
        kind="warning"
        urgent
        title={other ? t.changedBy(other.draft.updated_by) : t.goneTitle}
        text={other ? t.help : t.goneHelp}
      >
        {other ? (
          <span className="muted">
            {t.at} <Time at={other.draft.updated_at} />
          </span>
        ) : null}
        <div className="row">
          <Button kind="tertiary" size="sm" onClick={() => void keeper.takeMine()}>
            {other ? t.mine : t.again}
          </Button>
          {other ? (
            <>
              <Button kind="tertiary" size="sm" onClick={takeTheirs}>
                {t.theirs}
              </Button>
              <Button kind="ghost" size="sm" onClick={() => setComparing(!comparing)}>
                {comparing ? t.hide : t.compare}
              </Button>
            </>
          ) : null}
        </div>
      </Notice>
      {other && comparing ? (
        <Suspense fallback={<LoadingState />}>
          <SideBySide
            before={{ label: t.of(other.draft.updated_by), text: other.text }}
            after={{ label: t.yours, text }}
          />
        </Suspense>
      ) : null}
    </section>
  );
}
