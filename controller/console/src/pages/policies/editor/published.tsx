import { useQuery } from "@tanstack/react-query";
import { Loaded } from "@/components/states";
import { texts } from "@/texts";
import { Changes } from "../changes";
import SideBySide from "../code/merge-view";
import { currentQuery, type Change, type RevisionView } from "../data";

const t = texts.policies.editor;

interface Props {
  policy: RevisionView;
  text: string;
  changes: readonly Change[];
}

/** The draft beside the revision in force. */
export default function Published({ policy, text, changes }: Props) {
  const current = useQuery(currentQuery(policy.name));
  return (
    <Loaded query={current}>
      {({ data }) => (
        <>
          <SideBySide
            before={{ label: t.inForce(Number(data.revision.revision)), text: data.text }}
            after={{ label: t.thisDraft, text }}
          />
          <h2>{t.meaning}</h2>
          <Changes of={changes} label={t.meaning} />
        </>
      )}
    </Loaded>
  );
}
