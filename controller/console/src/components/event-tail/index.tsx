import { useRef } from "react";
import { useSearchParams } from "wouter";
import { EmptyState } from "@/components/states";
import { texts } from "@/texts";
import { EventDetail } from "./detail";
import { FilterBar } from "./filter-bar";
import { EventGrid } from "./grid";
import { keyOf, type TailEvent } from "./store";
import { withTerm } from "./terms";
import { Notes, Toolbar } from "./toolbar";
import { useTail } from "./use-tail";
import "./event-tail.scss";

/**
 * Events as they come, of a partition or of those of the fleet that a selector names. Filter and the open event are in the
 * address.
 */
export function EventTail({ agent }: { agent?: string }) {
  const fleet = agent === undefined;
  const [params, setParams] = useSearchParams();
  const filter = params.get("filter") ?? "";
  const selector = params.get("selector") ?? "";
  const id = params.get("event");
  const of = agent ?? params.get("of");
  const { store, seen, state, error } = useTail({ agent, filter, selector });
  const list = useRef<HTMLDivElement>(null);
  const set = (values: Record<string, string>) =>
    setParams((before) => {
      const next = new URLSearchParams(before);
      for (const [key, value] of Object.entries(values)) {
        if (value) next.set(key, value);
        else next.delete(key);
      }
      return next;
    });
  const apply = (next: string, labels: string) => set({ filter: next, selector: labels });
  const open = (row: TailEvent) => set({ event: row.event.id, of: fleet ? row.agent : "" });
  const close = () => {
    set({ event: "", of: "" });
    list.current?.querySelector<HTMLElement>("[role=grid]")?.focus();
  };
  const opened = id && of ? `${of} ${id}` : undefined;
  return (
    <div className="event-tail">
      <FilterBar filter={filter} selector={selector} apply={apply} fleet={fleet} store={store} />
      <Toolbar store={store} seen={seen} state={state} />
      <Notes seen={seen} state={state} error={error} fleet={fleet} />
      <div className={`event-split ${opened ? "is-open" : ""}`} ref={list}>
        {seen.rows.length ? (
          <EventGrid rows={seen.rows} fleet={fleet} opened={opened} open={open} />
        ) : (
          <EmptyState title={texts.live.tail.waitingTitle}>{texts.live.tail.waitingHelp}</EmptyState>
        )}
        {id && of ? (
          <EventDetail
            agent={of}
            id={id}
            row={seen.rows.find((row) => keyOf(row) === opened)}
            close={close}
            narrow={(term) => apply(withTerm(filter, term), selector)}
          />
        ) : null}
      </div>
      <p className="muted">{texts.live.tail.help}</p>
    </div>
  );
}
