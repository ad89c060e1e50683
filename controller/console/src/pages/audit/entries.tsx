import { Button, InlineLoading } from "@carbon/react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { FIELDS, type Filters } from "./filters";
import { NEWER, useEntries, useMerge, useNewer, type AuditEntry } from "./queries";

const ROW = 32;
/** So close to the end, older entries are loaded. */
const AHEAD = 20;
/** So close to the top, nobody is reading further down. */
const TOP = 8;

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
  const next = pages?.at(-1)?.next;
  const more = () => {
    if (query.hasNextPage && !query.isFetchingNextPage) void query.fetchNextPage();
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
          entries.length === 0 && !next ? (
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
                {query.isFetchingNextPage ? (
                  <InlineLoading description={t.loadingOlder} />
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
  // eslint-disable-next-line react-hooks/incompatible-library -- the list is drawn anew on every scroll, as it must be
  const rows = useVirtualizer({
    count: entries.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 12,
    getItemKey: (index) => entries[index]?.sequence ?? index,
  });
  const drawn = rows.getVirtualItems();
  const last = drawn.at(-1)?.index ?? 0;
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
      onKeyDown={step}
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
      <div role="rowgroup" className="audit-rows" style={{ blockSize: rows.getTotalSize() }}>
        {drawn.map(({ index, key, start }) => {
          const entry = entries[index];
          return entry ? (
            <Row key={key} entry={entry} index={index} start={start} open={open} show={show} />
          ) : null;
        })}
      </div>
    </div>
  );
}

/** Arrows lead from row to row, as in a list of the system. */
function step(event: KeyboardEvent<HTMLDivElement>) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const here = document.activeElement?.closest("[data-index]");
  if (!here) return;
  const to = Number(here.getAttribute("data-index")) + (event.key === "ArrowDown" ? 1 : -1);
  const button = event.currentTarget.querySelector<HTMLElement>(`[data-index="${String(to)}"] button`);
  if (!button) return;
  event.preventDefault();
  button.focus();
}

interface RowProps {
  entry: AuditEntry;
  index: number;
  start: number;
  open: number | undefined;
  show: (sequence: number | undefined) => void;
}

function Row({ entry, index, start, open, show }: RowProps) {
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
