import { useLocation } from "wouter";
import { useFourEyes } from "@/api/proposals";
import { Confirm } from "@/components/confirm";
import { Loaded } from "@/components/states";
import { texts } from "@/texts";
import { useWithout, type RevisionView } from "./data";
import { Effects } from "./effects";
import { remove } from "./publish";
import { useTold } from "./told";

const t = texts.policies.remove;

/** Removes a policy, after it was said which partitions lose what. */
export function RemovePolicy({ revision, close }: { revision: RevisionView; close: () => void }) {
  const { name } = revision;
  const effects = useWithout([name]);
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
