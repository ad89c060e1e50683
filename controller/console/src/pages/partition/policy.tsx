import { Link } from "wouter";
import { CopyButton } from "@/components/copy";
import { PolicyStanding } from "@/components/health";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import type { components } from "@/api/schema";
import { texts } from "@/texts";
import { PolicyValues } from "./policy-values";
import { useAgentPolicy, type Agent } from "./queries";

type View = components["schemas"]["AgentPolicyView"];

/** What the partition should run, what it runs, and where each value comes from. */
export function PolicyTab({ agent }: { agent: Agent }) {
  const query = useAgentPolicy(agent.summary.id);
  return (
    <Loaded query={query}>
      {(view) => (
        <>
          <Status view={view} />
          <PolicyValues values={view.values ?? []} />
          <Effective text={view.effective} />
        </>
      )}
    </Loaded>
  );
}

function Status({ view: { status, documents } }: { view: View }) {
  const t = texts.partition.policy;
  return (
    <section aria-labelledby="policy-standing">
      <h2 id="policy-standing">{t.title}</h2>
      <dl className="facts">
        <div>
          <dt>{t.wanted}</dt>
          <dd>{t.revision(status.wanted)}</dd>
        </div>
        <div>
          <dt>{t.running}</dt>
          <dd>{typeof status.running === "number" ? t.revision(status.running) : t.never}</dd>
        </div>
        <div>
          <dt>{t.state}</dt>
          <dd className="row">
            <PolicyStanding state={status.state} />
            {status.since ? (
              <span className="muted">
                {texts.partition.since} <Time at={status.since} relative />
              </span>
            ) : null}
          </dd>
        </div>
        <div>
          <dt title={t.documentsHelp}>{t.documents}</dt>
          <dd>{documents.length ? <Documents documents={documents} /> : t.noDocuments}</dd>
        </div>
      </dl>
      {status.reason ? <p className="reason">{status.reason}</p> : null}
    </section>
  );
}

function Documents({ documents }: { documents: readonly string[] }) {
  return (
    <ul className="row">
      {documents.map((document) => (
        <li key={document}>
          <Link className="cds--link" href={`/policies/${encodeURIComponent(document.split("@")[0] ?? "")}`}>
            {document}
          </Link>
        </li>
      ))}
    </ul>
  );
}

function Effective({ text }: { text: string | null | undefined }) {
  const t = texts.partition.policy;
  const shown = pretty(text);
  return (
    <details className="more">
      <summary>{t.effective}</summary>
      {shown ? (
        <>
          <CopyButton align="right" label={t.copyEffective} text={shown} />
          <pre className="pre">{shown}</pre>
        </>
      ) : (
        <p>{t.noEffective}</p>
      )}
    </details>
  );
}

/** JSON with line ends; what is none stays as it was sent. */
function pretty(text: string | null | undefined): string {
  if (!text) return "";
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
