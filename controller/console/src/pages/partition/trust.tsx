import { CopyButton } from "@/components/copy";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { Leases } from "./leases";
import type { Agent } from "./queries";
import { Upgrade } from "./upgrade";

/** Who collects, by what it is known, and which version it comes to. */
export function Trust({ agent }: { agent: Agent }) {
  return (
    <>
      <Leases agent={agent} />
      <Certificate agent={agent} />
      <Upgrade agent={agent} />
    </>
  );
}

function Certificate({ agent: { certificate } }: { agent: Agent }) {
  const t = texts.partition.certificate;
  return (
    <section aria-labelledby="certificate">
      <h2 id="certificate">{t.title}</h2>
      {certificate ? (
        <dl className="facts">
          <div>
            <dt>{t.expires}</dt>
            <dd>
              <Time at={certificate.expires_at} /> (<Time at={certificate.expires_at} relative />)
              <p className="muted">{t.renewed}</p>
            </dd>
          </div>
          <Copied name={t.serial} value={certificate.serial} copy={t.copySerial} />
          <Copied name={t.key} value={certificate.key_sha256} copy={t.copyKey} note={t.keyHelp} />
        </dl>
      ) : (
        <p>{t.none}</p>
      )}
    </section>
  );
}

function Copied({ name, value, copy, note }: { name: string; value: string; copy: string; note?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className="copied">
        <span className="mono">{value}</span>
        <CopyButton label={copy} text={value} />
      </dd>
      {note ? <dd className="muted">{note}</dd> : null}
    </div>
  );
}
