import { Button } from "@carbon/react";
import { texts } from "@/texts";
import type { RevisionView } from "../data";
import { Notice } from "../notice";
import type { About } from "./editor";

const t = texts.policies.outdated;

interface Props extends About {
  published: RevisionView | undefined;
  compare: () => void;
}

/** The policy was published by another way since the draft was begun: it is compared first, then published. */
export function Outdated({ keeper, standing, published, compare }: Props) {
  const { draft } = standing;
  const now = Number(published?.revision ?? 0);
  if (!draft || Number(draft.base) === now || standing.phase === "conflict") return null;
  return (
    <Notice
      kind="warning"
      title={now > 0 ? t.title(Number(draft.base), now) : t.removed(Number(draft.base))}
      text={t.help}
    >
      <div className="row">
        {now > 0 ? (
          <Button kind="tertiary" size="sm" onClick={compare}>
            {t.compare(now)}
          </Button>
        ) : null}
        <Button kind="ghost" size="sm" onClick={() => void keeper.rebase(now)}>
          {now > 0 ? t.rebase(now) : t.rebaseNew}
        </Button>
      </div>
    </Notice>
  );
}
