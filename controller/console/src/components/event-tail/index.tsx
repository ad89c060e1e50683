import { useRef } from "react";
import { EmptyState } from "@/components/states";
import { useAddress } from "@/hooks/address";
import { texts } from "@/texts";
import { EventDetail } from "./detail";
import { FilterBar } from "./filter-bar";
import { EventGrid } from "./grid";
import { Narrow } from "./narrow";
import { keyOf, type TailEvent } from "./store";
import { withTerm } from "./terms";
import { Notes, Toolbar } from "./toolbar";
import { useTail } from "./use-tail";
import "./event-tail.scss";

/**
 * Events as they come, of a partition or of those of the fleet that a selector names. Filter and the open event are in the
 * address. `away`: the partition is not connected now; what it told before stays.
 */
export function EventTail({ agent, away = false }: { agent?: string; away?: boolean }) {
  const fleet = agent === undefined;
  const [params, set] = useAddress();
  const filter = params.get("filter") ?? "";
  const selector = params.get("selector") ?? "";
  const id = params.get("event");
  const of = agent ?? params.get("of");
  const { store, seen, state, tooMany, error } = useTail({ agent, filter, selector, away });
  const list = useRef<HTMLDivElement>(null);
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
      {tooMany ? null : (
        <>
          <Toolbar store={store} seen={seen} state={state} />
          <Notes seen={seen} state={state} error={error} fleet={fleet} />
        </>
      )}
      <div className={`event-split ${opened ? "is-open" : ""}`} ref={list}>
        {seen.rows.length ? (
          <EventGrid rows={seen.rows} fleet={fleet} opened={opened} open={open} />
        ) : tooMany ? (
          <Narrow words={tooMany} selector={selector} choose={(labels) => apply(filter, labels)} />
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
