import { Button, InlineNotification } from "@carbon/react";
import { Download, Pause, Play, TrashCan } from "@carbon/icons-react";
import type { LiveState } from "@/api/live";
import { texts } from "@/texts";
import { saveText } from "./save";
import { MOST_ROWS, type TailNote, type TailSnapshot, type TailStore } from "./store";

/** Whether events come, how many, and pause. */
export function Toolbar({ store, seen, state }: { store: TailStore; seen: TailSnapshot; state: LiveState }) {
  const t = texts.live.tail;
  const save = () =>
    saveText(
      t.downloadName,
      seen.rows.map(({ event }) => `${JSON.stringify(event)}\n`).join(""),
      "application/jsonl",
    );
  return (
    <div className="event-toolbar">
      <Button
        kind={seen.paused ? "primary" : "tertiary"}
        size="sm"
        renderIcon={seen.paused ? Play : Pause}
        onClick={() => (seen.paused ? store.resume() : store.pause())}
      >
        {seen.paused ? t.resume : t.pause}
      </Button>
      <Button
        kind="ghost"
        size="sm"
        renderIcon={TrashCan}
        disabled={!seen.rows.length}
        onClick={() => store.clear()}
      >
        {t.clear}
      </Button>
      <Button kind="ghost" size="sm" renderIcon={Download} disabled={!seen.rows.length} onClick={save}>
        {t.download}
      </Button>
      <span className={`live-sign live-${seen.paused ? "connecting" : state}`} role="status">
        {seen.paused ? t.paused : texts.shell.live[state]}
      </span>
      <span className="muted">
        {seen.paused && (seen.waiting || seen.unkept)
          ? t.waiting(seen.waiting + seen.unkept)
          : t.shown(seen.rows.length, MOST_ROWS)}
        {seen.unkept ? `; ${t.unkept(seen.unkept)}` : ""}
      </span>
    </div>
  );
}

/** What is missing, and which partitions are looked into. */
export function Notes(props: {
  seen: TailSnapshot;
  state: LiveState;
  error: string | undefined;
  fleet: boolean;
}) {
  const { seen, state, error, fleet } = props;
  const t = texts.live.tail;
  const watched = seen.notes.filter((note) => note.ended === undefined);
  const ended = seen.notes.filter((note) => note.ended !== undefined);
  return (
    <>
      {error ? (
        <InlineNotification kind="error" lowContrast hideCloseButton title={t.stopped} subtitle={error} />
      ) : null}
      {state === "broken" && !error && seen.rows.length ? (
        <InlineNotification kind="warning" lowContrast hideCloseButton title={t.broken} />
      ) : null}
      {seen.skipped ? <p className="muted">{t.skipped(seen.skipped)}</p> : null}
      {ended.map((note: TailNote) => (
        <p key={note.agent} className="muted">
          {t.ended(note.agentName, note.ended ?? "")}
        </p>
      ))}
      {fleet && watched.length ? (
        <details className="event-watched">
          <summary>{t.watched(watched.length)}</summary>
          <p>{watched.map((note) => note.agentName).join(", ")}</p>
        </details>
      ) : null}
    </>
  );
}
