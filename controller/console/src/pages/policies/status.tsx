import {
  Button,
  Table,
  TableBody,
  TableCell,
  TableContainer,
  TableHead,
  TableHeader,
  TableRow,
} from "@carbon/react";
import { useState } from "react";
import { Link, useSearchParams } from "wouter";
import type { components } from "@/api/schema";
import { PolicyStanding } from "@/components/health";
import { EmptyState, Loaded } from "@/components/states";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import { useStatus, type RevisionView } from "./data";

const t = texts.policies.status;
type PolicyStatus = components["schemas"]["PolicyStatus"];
type State = (typeof STATES)[number];
const STATES = ["applied", "applying", "waiting", "failed"] as const;
/** Rows that are shown at first. */
const FIRST = 100;

/** Which partitions run a policy, wait for it or refused it, and why. Live. */
export function Status({ name, revision }: { name: string; revision: RevisionView | undefined }) {
  const status = useStatus(name);
  const [params, setParams] = useSearchParams();
  const state = STATES.find((each) => each === params.get("state"));
  const choose = (next: string | undefined) =>
    setParams(next && next !== state ? { state: next } : {}, { replace: true });
  return (
    <Loaded query={status}>
      {(data) => (
        <>
          <p className="muted policy-note">{t.lead(Number(data.revision))}</p>
          <div className="tiles">
            {STATES.map((each) => (
              <button
                key={each}
                type="button"
                className="figure figure-choice"
                aria-pressed={each === state}
                onClick={() => choose(each)}
              >
                <span className="label">{t.counts[each]}</span>
                <span className="value">{count(data[each])}</span>
              </button>
            ))}
          </div>
          <Agents
            of={data}
            state={state}
            fleet={fleetOf(revision?.selector ?? {}, state)}
            all={() => choose(undefined)}
          />
        </>
      )}
    </Loaded>
  );
}

/** Where all of them are listed: the fleet, by the labels of the policy and where its partitions stand. */
function fleetOf(selector: Readonly<Record<string, string>>, state: State | undefined): string {
  const label = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  const params = new URLSearchParams();
  if (label.length) params.set("label", label.join(","));
  if (state) params.set("policy", state);
  const text = params.toString();
  return text ? `/fleet?${text}` : "/fleet";
}

function Agents(props: {
  of: PolicyStatus;
  state: State | undefined;
  /** Address of the list of all that are asked for. */
  fleet: string;
  all: () => void;
}) {
  const { of, state, fleet } = props;
  const [most, setMost] = useState(FIRST);
  const total = of.applied + of.applying + of.waiting + of.failed;
  if (total === 0) return <EmptyState title={t.nobody}>{t.nobodyHelp}</EmptyState>;
  const agents = of.agents.filter((agent) => state === undefined || agent.state === state);
  const wanted = state ? of[state] : total;
  if (agents.length === 0 && wanted > 0) {
    // The controller lists some of them only, and these come last.
    return (
      <EmptyState
        title={t.unlisted(count(wanted))}
        action={
          <Link href={fleet} className="cds--link">
            {t.inFleet}
          </Link>
        }
      >
        {t.cut(count(of.agents.length), count(total))}
      </EmptyState>
    );
  }
  if (agents.length === 0) {
    return (
      <EmptyState
        title={t.none}
        action={
          <Button kind="tertiary" size="sm" onClick={props.all}>
            {t.all}
          </Button>
        }
      />
    );
  }
  return (
    <>
      <TableContainer>
        <Table size="sm" aria-label={t.table}>
          <TableHead>
            <TableRow>
              <TableHeader>{t.partition}</TableHeader>
              <TableHeader>{t.state}</TableHeader>
              <TableHeader>{t.reason}</TableHeader>
            </TableRow>
          </TableHead>
          <TableBody>
            {agents.slice(0, most).map((agent) => (
              <TableRow key={agent.id}>
                <TableCell>
                  <Link href={`/partitions/${agent.id}`} className="cds--link">
                    {agent.name}
                  </Link>
                </TableCell>
                <TableCell>
                  <PolicyStanding state={agent.state} />
                </TableCell>
                <TableCell>{agent.reason ?? ""}</TableCell>
              </TableRow>
            ))}
          </TableBody>
        </Table>
      </TableContainer>
      {agents.length > most ? (
        <Button kind="ghost" size="sm" onClick={() => setMost(most + FIRST)}>
          {texts.policies.list.more(agents.length - most)}
        </Button>
      ) : null}
      {agents.length < wanted ? (
        <p className="muted">
          {t.cut(count(of.agents.length), count(total))}{" "}
          <Link href={fleet} className="cds--link">
            {t.inFleet}
          </Link>
        </p>
      ) : null}
    </>
  );
}
