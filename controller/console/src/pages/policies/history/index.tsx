import { Loaded } from "@/components/states";
import { useSearchParams } from "wouter";
import { texts } from "@/texts";
import { useRevisions, type RevisionView } from "../data";
import { Compare } from "./compare";
import { Revisions } from "./revisions";

const t = texts.policies.history;

/** The numbers of the two revisions that are compared, from the address; the newest two unless others are chosen. */
function useChosen(revisions: readonly RevisionView[]) {
  const [params, setParams] = useSearchParams();
  const numbers = revisions.map((each) => Number(each.revision));
  const chosen = (name: string) => numbers.find((number) => String(number) === params.get(name));
  const to = chosen("to") ?? numbers[0] ?? 0;
  const from = chosen("from") ?? numbers.find((number) => number < to) ?? 0;
  const choose = (change: { from?: number; to?: number }) => {
    const next = { from, to, ...change };
    setParams({ from: String(next.from), to: String(next.to) }, { replace: true });
  };
  return { from, to, choose };
}

/** Every revision of a policy, what differs between any two, and the way back. */
export function History({ name, current }: { name: string; current: RevisionView | undefined }) {
  const revisions = useRevisions(name);
  return (
    <Loaded query={revisions}>
      {(all) => <Chosen name={name} all={all} current={Number(current?.revision ?? 0)} />}
    </Loaded>
  );
}

function Chosen({ name, all, current }: { name: string; all: RevisionView[]; current: number }) {
  const { from, to, choose } = useChosen(all);
  return (
    <>
      <Revisions name={name} all={all} current={current} from={from} to={to} choose={choose} />
      {from > 0 && from !== to ? (
        <Compare key={`${String(from)}-${String(to)}`} name={name} from={from} to={to} />
      ) : (
        <p className="muted policy-note">{t.single}</p>
      )}
    </>
  );
}
