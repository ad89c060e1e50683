import { IconButton } from "@carbon/react";
import { Close } from "@carbon/icons-react";
import { useEffect, useRef, type ReactNode } from "react";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { plain } from "@/pages/admin/plain";
import { texts } from "@/texts";
import { beside, type Line } from "./diff";
import { useEntry, type AuditEntry } from "./queries";

/** One entry beside the list, with what it changed. */
export function EntryPanel({ sequence, close }: { sequence: number; close: () => void }) {
  const t = texts.audit;
  const query = useEntry(sequence);
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    // Where the panel is below the list, it would open out of sight.
    panel.current?.scrollIntoView({ block: "nearest" });
  }, [sequence]);
  return (
    <aside
      ref={panel}
      className="panel audit-entry"
      aria-label={t.entry(sequence)}
      onKeyDown={(event) => {
        if (event.key === "Escape") close();
      }}
    >
      <div className="audit-entry-head">
        <h2>{t.entry(sequence)}</h2>
        <IconButton kind="ghost" size="sm" label={t.close} align="left" onClick={close}>
          <Close />
        </IconButton>
      </div>
      <Loaded query={query}>
        {(entry) => (entry ? <Entry entry={entry} /> : <EmptyState title={t.goneTitle} />)}
      </Loaded>
    </aside>
  );
}

function Entry({ entry }: { entry: AuditEntry }) {
  const t = texts.audit;
  return (
    <>
      <dl className="facts">
        <Fact name={t.facts.at}>
          <Time at={entry.at} /> (<Time at={entry.at} relative />)
        </Fact>
        <Fact name={t.facts.actor}>{entry.actor}</Fact>
        <Fact name={t.facts.action}>{entry.action}</Fact>
        <Fact name={t.facts.from}>{entry.from || t.controller}</Fact>
        <Fact name={t.facts.object}>{entry.object || texts.common.none}</Fact>
        <Fact name={t.facts.detail}>{entry.detail || texts.common.none}</Fact>
        <Fact name={t.facts.id}>
          <span className="mono">{entry.id}</span>
        </Fact>
        <Fact name={t.facts.hash}>
          <span className="mono">{entry.hash}</span>
        </Fact>
      </dl>
      <h3>{t.change}</h3>
      <Change before={entry.before} after={entry.after} />
    </>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

const absent = (value: unknown) => value === undefined || value === null;

/** Before and after, line beside line. */
function Change({ before, after }: { before: unknown; after: unknown }) {
  const t = texts.audit;
  if (absent(before) && absent(after)) return <p className="muted">{t.noChange}</p>;
  const lines = beside(absent(before) ? [] : plain(before), absent(after) ? [] : plain(after));
  return (
    <div className="audit-diff" tabIndex={0} role="region" aria-label={t.change}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t.before}</th>
            <th scope="col">{t.after}</th>
          </tr>
        </thead>
        <tbody>
          {absent(before) || absent(after) ? (
            <tr>
              <td className="muted">{absent(before) ? t.nothingBefore : ""}</td>
              <td className="muted">{absent(after) ? t.nothingAfter : ""}</td>
            </tr>
          ) : null}
          {lines.map((line, index) => (
            <tr key={index}>
              <Side text={line.before} changed={line.changed} sign="-" word={t.removedLine} />
              <Side text={line.after} changed={line.changed} sign="+" word={t.addedLine} />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Side(props: { text: Line["before"]; changed: boolean; sign: "-" | "+"; word: string }) {
  const { text, changed, sign, word } = props;
  if (text === undefined) return <td />;
  if (!changed) return <td>{`  ${text}`}</td>;
  return (
    <td className={sign === "-" ? "diff-old" : "diff-new"}>
      <span className="cds--visually-hidden">{word}</span>
      {`${sign} ${text}`}
    </td>
  );
}
