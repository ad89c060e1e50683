import { CheckmarkFilled, ErrorFilled, WarningFilled } from "@carbon/icons-react";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import type { Fault } from "../code/faults";
import type { Check } from "../data";

const t = texts.policies.faults;

interface Props {
  found: Check | undefined;
  /** It is about the text as it stands. */
  fresh: boolean;
  jump: (fault: Fault) => void;
}

/** What the controller found in the text; each leads to its place. */
export function FaultList({ found, fresh, jump }: Props) {
  if (!found) return <p className="muted">{t.checking}</p>;
  const faults = found.faults ?? [];
  const warnings = found.warnings ?? [];
  return (
    <section className="faults" aria-labelledby="faults">
      <h2 id="faults" className="faults-title">
        {t.title(faults.length, warnings.length)}
      </h2>
      <p role="status" className={`state ${found.valid ? "tone-good" : "tone-bad"}`}>
        {found.valid ? <CheckmarkFilled aria-hidden="true" /> : <ErrorFilled aria-hidden="true" />}
        {fresh
          ? found.valid
            ? t.valid(count(found.agents ?? 0), found.agents ?? 0)
            : t.invalid
          : t.checking}
      </p>
      <ul>
        {faults.map((fault) => (
          <Line key={keyOf(fault)} fault={fault} severe jump={jump} />
        ))}
        {warnings.map((fault) => (
          <Line key={keyOf(fault)} fault={fault} severe={false} jump={jump} />
        ))}
      </ul>
    </section>
  );
}

function keyOf({ line, column, path, message }: Fault): string {
  return `${String(line)}:${String(column)} ${path ?? ""} ${message}`;
}

function Line({ fault, severe, jump }: { fault: Fault; severe: boolean; jump: (fault: Fault) => void }) {
  const Icon = severe ? ErrorFilled : WarningFilled;
  const words = (
    <>
      <span className={`state tone-${severe ? "bad" : "warn"}`}>
        <Icon aria-hidden="true" />
        {severe ? t.fault : t.warning}
      </span>
      {fault.line > 0 ? <span className="mono">{t.at(fault.line, fault.column)}</span> : null}
      {fault.path ? <span className="mono">{fault.path}</span> : null}
      <span>{fault.message}</span>
    </>
  );
  return (
    <li>
      {fault.line > 0 ? (
        <button type="button" className="fault" onClick={() => jump(fault)}>
          {words}
        </button>
      ) : (
        <div className="fault">{words}</div>
      )}
    </li>
  );
}
