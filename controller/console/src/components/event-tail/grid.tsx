import { Filter } from "@carbon/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useId, useLayoutEffect, useRef, useState, type KeyboardEvent } from "react";
import { goal } from "@/hooks/list-keys";
import { texts } from "@/texts";
import { EventTime, summary } from "./line";
import { Severity } from "./severity";
import { keyOf, type TailEvent } from "./store";

const ROW = 32;
const PAGE = 10;

interface GridUse {
  rows: readonly TailEvent[];
  fleet: boolean;
  /** Key of the event that is open. */
  opened: string | undefined;
  open: (row: TailEvent) => void;
}

/**
 * The events as a grid that keeps its place: what somebody looks at does not move when new events come above. The chosen
 * row is known by its event, for its number changes.
 */
export function EventGrid({ rows, fleet, opened, open }: GridUse) {
  const t = texts.live.tail;
  const id = useId();
  const box = useStill(rows);
  const [active, setActive] = useState<string>();
  const at = active === undefined ? -1 : rows.findIndex((row) => keyOf(row) === active);
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing that it gives is kept from one drawing to the next
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 8,
    // The head of the table sticks over the first row.
    scrollPaddingStart: ROW,
  });
  const go = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (!row) return;
    setActive(keyOf(row));
    virtual.scrollToIndex(rows.indexOf(row));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const to = goal(event.key, at, PAGE, rows.length);
    const row = rows[at];
    if (to !== undefined) go(to);
    else if (event.key === "Enter" && row) open(row);
    else return;
    event.preventDefault();
  };
  return (
    <div
      ref={box}
      className={`event-grid ${fleet ? "of-fleet" : ""}`}
      role="grid"
      tabIndex={0}
      aria-label={t.grid}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={at >= 0 ? `${id}-${String(at)}` : undefined}
      onKeyDown={onKeyDown}
    >
      <Head fleet={fleet} />
      <div role="rowgroup" className="event-rows" style={{ blockSize: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const row = rows[index];
          if (!row) return null;
          const key = keyOf(row);
          return (
            <Row
              key={key}
              id={`${id}-${String(index)}`}
              row={row}
              number={index + 2}
              start={start}
              fleet={fleet}
              active={key === active}
              opened={key === opened}
              choose={() => {
                setActive(key);
                open(row);
              }}
            />
          );
        })}
      </div>
    </div>
  );
}

/** Keeps what is in view where it is while rows are added above, unless the newest are looked at. */
function useStill(rows: readonly TailEvent[]) {
  const box = useRef<HTMLDivElement>(null);
  const first = useRef<string>(undefined);
  useLayoutEffect(() => {
    const before = first.current;
    const now = rows[0];
    first.current = now ? keyOf(now) : undefined;
    if (!before || !box.current || box.current.scrollTop < ROW) return;
    const added = rows.findIndex((row) => keyOf(row) === before);
    if (added > 0) box.current.scrollBy(0, added * ROW);
  }, [rows]);
  return box;
}

function Head({ fleet }: { fleet: boolean }) {
  const c = texts.live.tail.columns;
  const names = [
    c.time,
    ...(fleet ? [c.system] : []),
    c.severity,
    c.event,
    c.name,
    c.verdict,
    c.user,
    c.source,
    c.details,
  ];
  return (
    <div role="rowgroup" className="event-head">
      <div role="row" aria-rowindex={1}>
        {names.map((name) => (
          <div key={name} role="columnheader">
            {name}
          </div>
        ))}
      </div>
    </div>
  );
}

function Row(props: {
  id: string;
  row: TailEvent;
  number: number;
  start: number;
  fleet: boolean;
  active: boolean;
  opened: boolean;
  choose: () => void;
}) {
  const { event, agentName } = props.row;
  return (
    <div
      id={props.id}
      role="row"
      aria-rowindex={props.number}
      aria-selected={props.opened}
      className={`${props.active ? "is-active" : ""} ${event.dropped_by ? "is-dropped" : ""}`}
      style={{ transform: `translateY(${String(props.start)}px)` }}
      onClick={props.choose}
    >
      <div role="gridcell" className="mono">
        <EventTime event={event} />
      </div>
      {props.fleet ? <div role="gridcell">{agentName || event.system}</div> : null}
      <div role="gridcell">
        <Severity value={event.severity} />
      </div>
      <div role="gridcell" className="mono">
        {event.event}
      </div>
      <div role="gridcell">{event.name}</div>
      <div role="gridcell">
        <Verdict rule={event.dropped_by} />
      </div>
      <div role="gridcell" className="mono">
        {event.fields?.["user"]}
      </div>
      <div role="gridcell">{event.source}</div>
      <div role="gridcell" className="mono">
        {summary(event)}
      </div>
    </div>
  );
}

/** What policy does with an event. */
export function Verdict({ rule }: { rule: string | null | undefined }) {
  const t = texts.live.tail;
  return rule ? (
    <span className="state tone-calm">
      <Filter aria-hidden="true" />
      {t.dropped(rule)}
    </span>
  ) : (
    <>{t.kept}</>
  );
}
