import { Button, InlineLoading } from "@carbon/react";
import { useEffect, useRef, useState } from "react";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { inZone } from "@/hooks/format";
import { useRows } from "@/hooks/rows";
import { texts } from "@/texts";
import { FIELDS, type Filters } from "./filters";
import { NEWER, useEntries, useMerge, useNewer, useReached, type AuditEntry } from "./queries";

const ROW = 32;
/** So close to the end, older entries are loaded. */
const AHEAD = 20;
/** So close to the top, nobody is reading further down. */
const TOP = 8;
/** The controller looks through a part of the log for a page, and may find nothing there: so many of them are asked for at once. */
const LOOKS = 10;

interface Props {
  filters: Filters;
  open: number | undefined;
  show: (sequence: number | undefined) => void;
}

/** The entries found, newest first. New ones appear by themselves while the top is in sight, and else on a click. */
export function Entries({ filters, open, show }: Props) {
  const t = texts.audit;
  const { query, queryKey } = useEntries(filters);
  const merge = useMerge(queryKey);
  const scroller = useRef<HTMLDivElement>(null);
  const [atTop, setAtTop] = useState(true);
  const pages = query.data?.pages;
  const newer = useNewer(filters, pages?.[0]?.head).data;
  const reading = !atTop || open !== undefined;
  const fresh = newer?.items.length ?? 0;
  useEffect(() => {
    if (newer && newer.items.length > 0 && !reading) merge(newer.items, newer.more);
  });
  const entries = pages?.flatMap((page) => page.items) ?? [];
  const searched = FIELDS.some((field) => filters[field]);
  const next = pages?.at(-1)?.next ?? undefined;
  const { looking, given, further } = useFurther(query);
  const more = () => {
    if (query.hasNextPage && !query.isFetchingNextPage && !given) void query.fetchNextPage();
  };
  const showNewer = () => {
    scroller.current?.scrollTo({ top: 0 });
    if (newer) merge(newer.items, newer.more);
  };
  return (
    <div className="audit-entries">
      {reading && fresh > 0 ? (
        <Button className="audit-newer" size="sm" kind="secondary" onClick={showNewer}>
          {newer?.more ? t.newerMany(NEWER) : t.newer(fresh)}
        </Button>
      ) : null}
      <Loaded query={{ ...query, data: pages }}>
        {() =>
          entries.length === 0 && next ? (
            <NothingYet looking={looking} next={next} further={further} />
          ) : entries.length === 0 ? (
            <EmptyState title={searched ? t.nothingFound : t.emptyTitle}>
              {searched ? t.nothingFoundHelp : t.emptyHelp}
            </EmptyState>
          ) : (
            <>
              <Rows
                entries={entries}
                open={open}
                show={show}
                scroller={scroller}
                more={more}
                scrolled={(top) => setAtTop(top <= TOP)}
              />
              <div className="audit-foot sub" role="status">
                <span>{t.shown(entries.length)}</span>
                {query.isFetchingNextPage || looking ? (
                  <InlineLoading description={t.loadingOlder} />
                ) : next && given ? (
                  <>
                    <Reached next={next} />
                    <Button size="sm" kind="ghost" onClick={further}>
                      {t.further}
                    </Button>
                  </>
                ) : next ? (
                  <Button size="sm" kind="ghost" onClick={more}>
                    {t.older}
                  </Button>
                ) : searched ? null : (
                  <span>{t.beginning}</span>
                )}
              </div>
            </>
          )
        }
      </Loaded>
    </div>
  );
}

/**
 * Looks on by itself while what was looked through last holds nothing that is looked for; after some parts of the log it
 * leaves that to whoever searches. `given`: it has come to that.
 */
function useFurther(query: ReturnType<typeof useEntries>["query"]) {
  const { data, hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = query;
  const [most, setMost] = useState(LOOKS);
  const pages = data?.pages ?? [];
  const empty = pages.length - 1 - pages.findLastIndex((page) => page.items.length > 0);
  const stuck = hasNextPage && empty > 0;
  const looking = stuck && empty < most && !isFetchNextPageError;
  useEffect(() => {
    if (looking && !isFetchingNextPage) void fetchNextPage();
  }, [looking, empty, isFetchingNextPage, fetchNextPage]);
  const further = () => {
    setMost(empty + LOOKS);
    if (!isFetchingNextPage) void fetchNextPage();
  };
  return { looking, given: stuck && !looking, further };
}

/** Nothing is found as far as the log was looked through, and there is more of it. */
function NothingYet(props: { looking: boolean; next: string; further: () => void }) {
  const t = texts.audit;
  if (props.looking) {
    return (
      <div className="empty" role="status">
        <InlineLoading description={t.lookingBack} />
      </div>
    );
  }
  return (
    <EmptyState
      title={t.nothingFound}
      action={
        <Button size="sm" kind="tertiary" onClick={props.further}>
          {t.further}
        </Button>
      }
    >
      <Reached next={props.next} />
    </EmptyState>
  );
}

/** Back to when nothing more was found. */
function Reached({ next }: { next: string }) {
  const at = useReached(next).data;
  return <span>{at ? texts.audit.lookingOn(inZone(new Date(at))) : texts.audit.lookingOnUnknown}</span>;
}

interface RowsProps {
  entries: AuditEntry[];
  open: number | undefined;
  show: (sequence: number | undefined) => void;
  scroller: React.RefObject<HTMLDivElement | null>;
  more: () => void;
  scrolled: (top: number) => void;
}

/** The rows that are in sight. */
function Rows({ entries, open, show, scroller, more, scrolled }: RowsProps) {
  const t = texts.audit;
  const rows = useRows({
    frame: scroller,
    count: entries.length,
    size: ROW,
    keyOf: (index) => entries[index]?.sequence ?? index,
  });
  const drawn = rows.lines.getVirtualItems();
  const last = rows.lines.range?.endIndex ?? 0;
  useEffect(() => {
    if (entries.length > 0 && last >= entries.length - AHEAD) more();
    // Only what is in sight asks for more: `more` itself is another one each time.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [last, entries.length]);
  const names = [
    t.columns.number,
    t.columns.at,
    t.columns.actor,
    t.columns.action,
    t.columns.object,
    t.columns.detail,
    t.columns.from,
  ];
  return (
    <div
      ref={scroller}
      className="grid audit-grid"
      role="table"
      aria-label={t.title}
      aria-rowcount={-1}
      onScroll={(event) => scrolled(event.currentTarget.scrollTop)}
      {...rows.keys}
    >
      <div role="rowgroup" className="audit-head">
        <div role="row" aria-rowindex={1}>
          {names.map((name) => (
            <div key={name} role="columnheader">
              {name}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" className="audit-rows" style={{ blockSize: rows.lines.getTotalSize() }}>
        {drawn.map(({ index, key, start }) => {
          const entry = entries[index];
          return entry ? (
            <Row
              key={key}
              entry={entry}
              index={index}
              start={start}
              stop={rows.stop(index)}
              open={open}
              show={show}
            />
          ) : null;
        })}
      </div>
    </div>
  );
}

interface RowProps {
  entry: AuditEntry;
  index: number;
  start: number;
  /** Whether the Tab key stops here. */
  stop: 0 | -1;
  open: number | undefined;
  show: (sequence: number | undefined) => void;
}

function Row({ entry, index, start, stop, open, show }: RowProps) {
  const t = texts.audit;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      data-index={index}
      data-selected={entry.sequence === open}
      className="audit-row"
      style={{ insetBlockStart: start, blockSize: ROW }}
      onClick={() => show(entry.sequence)}
    >
      <div role="cell">
        <button
          type="button"
          className="audit-open"
          tabIndex={stop}
          aria-label={t.open(entry.sequence)}
          aria-expanded={entry.sequence === open}
        >
          {entry.sequence}
        </button>
      </div>
      <div role="cell">
        <Time at={entry.at} />
      </div>
      <div role="cell" title={entry.actor}>
        {entry.actor}
      </div>
      <div role="cell">{entry.action}</div>
      <div role="cell" title={entry.object ?? ""}>
        {entry.object}
      </div>
      <div role="cell" title={entry.detail ?? ""}>
        {entry.detail}
      </div>
      <div role="cell">{entry.from}</div>
    </div>
  );
}
