import { CopyButton } from "@/components/copy";
import { texts } from "@/texts";
import type { EventInFull } from "./one";

/** The raw entry of an event, and the text that each format makes of it. */
export function Forms({ full }: { full: EventInFull }) {
  const t = texts.live.event;
  return (
    <>
      <h3>{t.formats}</h3>
      {full.formats.map(({ format, destination, text }) => {
        const name = t.format[format] ?? format;
        return (
          <Form
            key={`${format} ${destination ?? ""}`}
            title={name}
            note={destination ? t.forDestination(destination) : undefined}
            text={text}
            copy={t.copyFormat(name)}
          />
        );
      })}
      <h3>{t.raw}</h3>
      {full.raw ? <Form text={full.raw} copy={t.copyRaw} /> : <p className="muted">{t.noRaw}</p>}
    </>
  );
}

function Form(props: { title?: string; note?: string | undefined; text: string; copy: string }) {
  return (
    <div className="event-form">
      <div className="event-section">
        <span>
          {props.title ? <strong>{props.title}</strong> : null}
          {props.note ? <span className="muted"> {props.note}</span> : null}
        </span>
        <CopyButton align="left" label={props.copy} text={props.text} />
      </div>
      <pre className="pre">{props.text}</pre>
    </div>
  );
}
