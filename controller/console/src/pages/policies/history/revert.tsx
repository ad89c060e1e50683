import { useQuery } from "@tanstack/react-query";
import { useFourEyes } from "@/api/proposals";
import { Confirm } from "@/components/confirm";
import { Loaded } from "@/components/states";
import { texts } from "@/texts";
import { preview, usePolicies, useRevision, type RevisionView } from "../data";
import { Effects } from "../effects";
import { revert } from "../publish";
import { useTold } from "../told";

const t = texts.policies.history;

/** Publishes the text of an older revision again, after it was said what that means for the partitions. */
export function Revert(props: { to: RevisionView; current: { name: string }; close: () => void }) {
  const { name } = props.current;
  const number = Number(props.to.revision);
  const text = useRevision(name, number);
  const policies = usePolicies();
  const fourEyes = useFourEyes();
  const told = useTold();
  const live = policies.data?.find((policy) => policy.name === name && !policy.removed);
  const source = text.data;
  const effects = useQuery({
    queryKey: ["policies", name, "reverted", number],
    enabled: source !== undefined,
    queryFn: () => {
      const { text: content = "", signature } = source ?? {};
      return preview({ documents: [signature ? { text: content, signature } : { text: content }] });
    },
  });
  return (
    <Confirm
      title={t.revertTitle(name, number)}
      action={fourEyes ? t.proposeRevert : t.revertAction}
      reason
      reasonWords={texts.policies.comment}
      run={async (comment) => told(await revert(name, number, Number(live?.revision ?? 0), comment))}
      close={props.close}
    >
      <p>{t.revertHelp}</p>
      {fourEyes ? <p>{texts.policies.publish.fourEyes}</p> : null}
      <Loaded query={effects}>{(data) => <Effects of={data} />}</Loaded>
    </Confirm>
  );
}
