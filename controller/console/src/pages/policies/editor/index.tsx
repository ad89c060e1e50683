import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useMay, useSession } from "@/api/session";
import { EmptyState, Loaded } from "@/components/states";
import { texts } from "@/texts";
import CodeView from "../code/code-view";
import type { RevisionView } from "../data";
import { Editor } from "./editor";
import { beginning } from "./use-keeper";

const t = texts.policies.editor;

/** Writes a draft: of the policy of that name, or of one that is new. */
export default function EditTab({ name, policy }: { name: string; policy: RevisionView | undefined }) {
  const client = useQueryClient();
  const { who } = useSession();
  const may = useMay("operator");
  const user = who?.user ?? "";
  const start = useQuery({
    // Read once: what is typed is the editor's own from then on.
    queryKey: ["draft-beginning", user, name],
    queryFn: () => beginning(client, user, name, policy),
    staleTime: Infinity,
    gcTime: 0,
  });
  return (
    <Loaded query={start}>
      {(found) => {
        if (!found) return <EmptyState title={t.gone(name)}>{t.goneHelp}</EmptyState>;
        if (may) return <Editor name={name} start={found} />;
        return (
          <>
            <p className="policy-note">{texts.common.needs("operator")}</p>
            <CodeView text={found.text} label={t.draftOf(name)} />
          </>
        );
      }}
    </Loaded>
  );
}
