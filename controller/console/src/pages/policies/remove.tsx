import { useQuery } from "@tanstack/react-query";
import { useLocation } from "wouter";
import { Confirm } from "@/components/confirm";
import { Loaded } from "@/components/states";
import { texts } from "@/texts";
import { documentOf, preview, useFourEyes, usePolicies, type RevisionView } from "./data";
import { Effects } from "./effects";
import { remove } from "./publish";
import { useTold } from "./told";

const t = texts.policies.remove;

/** What would be without a policy: the set of all others, and nothing else. */
function useRemovalPreview(name: string) {
  const { data } = usePolicies();
  const others = data
    ?.filter((policy) => policy.name !== name && !policy.removed)
    .map((policy) => policy.name);
  return useQuery({
    queryKey: ["policies", name, "removal", others],
    enabled: others !== undefined,
    queryFn: async () =>
      preview({ documents: await Promise.all((others ?? []).map(documentOf)), prune: true }),
  });
}

/** Removes a policy, after it was said which partitions lose what. */
export function RemovePolicy({ revision, close }: { revision: RevisionView; close: () => void }) {
  const { name } = revision;
  const effects = useRemovalPreview(name);
  const fourEyes = useFourEyes();
  const told = useTold();
  const [, navigate] = useLocation();
  const run = async (comment: string) => {
    told(await remove(name, Number(revision.revision), comment));
    navigate("/policies");
  };
  return (
    <Confirm
      danger
      title={t.title(name)}
      action={fourEyes ? t.propose : t.action}
      reason
      reasonWords={texts.policies.comment}
      run={run}
      close={close}
    >
      <p>{t.help}</p>
      {fourEyes ? <p>{texts.policies.publish.fourEyes}</p> : null}
      <Loaded query={effects}>{(data) => <Effects of={data} />}</Loaded>
    </Confirm>
  );
}
