import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { Health, type AgentState } from "@/components/health";
import { count, rate, span } from "@/hooks/format";
import { texts } from "@/texts";
import { members, toggled, type Change, type Wanted } from "./query";

type FleetView = components["schemas"]["FleetView"];

const AGAIN = 10_000;

/** States that always have a tile, and those that have one only if somebody is in them. */
const ALWAYS: readonly AgentState[] = ["healthy", "degraded", "failed", "offline"];
const SOMETIMES: readonly AgentState[] = ["reconnecting", "planned_outage", "quarantined", "never_connected"];

interface Filtering {
  wanted: Wanted;
  change: (by: Change) => void;
}

/** The fleet at a glance. A tile that stands for partitions filters the table by them, and shows that it does. */
export function Tiles(props: Filtering) {
  const t = texts.fleet.tiles;
  const fleet = useQuery({
    queryKey: ["fleet"],
    queryFn: ({ signal }) => body(api.GET("/api/v1/fleet", { signal })),
    refetchInterval: AGAIN,
  });
  return (
    <>
      <div className="fleet-tiles" role="group" aria-label={t.states}>
        <StateTiles {...props} fleet={fleet.data} />
      </div>
      <div className="fleet-tiles" role="group" aria-label={t.figures}>
        <Figures {...props} fleet={fleet.data} />
        <Seats />
      </div>
    </>
  );
}

function StateTiles({ wanted, change, fleet }: Filtering & { fleet: FleetView | undefined }) {
  const t = texts.fleet.tiles;
  const chosen = members(wanted.filter.state);
  const shown = [
    ...ALWAYS,
    ...SOMETIMES.filter((state) => chosen.includes(state) || (numberIn(fleet, state) ?? 0) > 0),
  ];
  return (
    <>
      <Choice
        label={t.all}
        value={fleet?.agents}
        pressed={chosen.length === 0}
        choose={() => change({ state: "" })}
      />
      {shown.map((state) => (
        <Choice
          key={state}
          label={<Health state={state} />}
          value={numberIn(fleet, state)}
          pressed={chosen.includes(state)}
          choose={() => change({ state: toggled(wanted.filter.state, state) })}
        />
      ))}
      <Worries wanted={wanted} change={change} fleet={fleet} />
    </>
  );
}

/** What has a tile only while there is any of it. */
function Worries({ wanted, change, fleet }: Filtering & { fleet: FleetView | undefined }) {
  const t = texts.fleet.tiles;
  const { policy, flag } = wanted.filter;
  const worries = [
    { name: "policy", is: "failed", now: policy, label: t.policyFailed, value: fleet?.policy_failed },
    { name: "flag", is: "silent", now: flag, label: t.silent, value: fleet?.silent },
    { name: "flag", is: "noisy", now: flag, label: t.noisy, value: fleet?.noisy },
  ] as const;
  return worries
    .filter(({ is, now, value }) => now === is || (value ?? 0) > 0)
    .map(({ name, is, now, label, value }) => (
      <Choice
        key={is}
        label={label}
        value={value}
        pressed={now === is}
        choose={() => change({ [name]: now === is ? "" : is })}
      />
    ));
}

function numberIn(fleet: FleetView | undefined, state: AgentState): number | undefined {
  return fleet?.[state] ?? (fleet ? 0 : undefined);
}

function Choice(props: {
  label: ReactNode;
  value: number | undefined;
  pressed: boolean;
  choose: () => void;
}) {
  return (
    <button type="button" className="figure" aria-pressed={props.pressed} onClick={props.choose}>
      <span className="label">{props.label}</span>
      <span className="value">{props.value === undefined ? "—" : count(props.value)}</span>
    </button>
  );
}

function Figures({ wanted, change, fleet }: Filtering & { fleet: FleetView | undefined }) {
  const t = texts.fleet.tiles;
  const byLag = wanted.sort.key === "lag" && wanted.sort.descending;
  const day = fleet?.day;
  return (
    <>
      <Figure label={t.rate} note={t.rateNote} value={told(fleet?.rates.minute.received, rate)} />
      <Figure label={t.day} note={t.dayNote} value={told(day?.received, count)} />
      <Figure label={t.delivered} note={t.dayNote} value={told(day?.delivered, count)} />
      <Figure label={t.dropped} note={t.dayNote} value={told(day?.dropped, count)} />
      <button
        type="button"
        className="figure"
        aria-pressed={byLag}
        onClick={() => change(byLag ? { sort: "", order: "" } : { sort: "lag", order: "desc" })}
      >
        <span className="label">{t.lag}</span>
        <span className="value">{told(fleet?.lag_ms, span)}</span>
        <span className="note">{t.lagNote}</span>
      </button>
    </>
  );
}

function told(value: number | undefined, write: (value: number) => string): string {
  return value === undefined ? "—" : write(value);
}

function Figure(props: { label: string; note: string; value: string }) {
  return (
    <div className="figure">
      <span className="label">{props.label}</span>
      <span className="value">{props.value}</span>
      <span className="note">{props.note}</span>
    </div>
  );
}

/** Seats of the licence; the way to its page. */
function Seats() {
  const t = texts.fleet.tiles;
  const licence = useQuery({
    queryKey: ["licence"],
    queryFn: ({ signal }) => body(api.GET("/api/v1/licence", { signal })),
  });
  const { used, seats } = licence.data ?? {};
  const limited = typeof seats === "number";
  return (
    <Link className="figure" href="/licence">
      <span className="label">{t.seats}</span>
      <span className="value">
        {used === undefined ? "—" : limited ? t.seatsOf(count(used), count(seats)) : count(used)}
      </span>
      <span className="note">{used === undefined || limited ? "" : t.seatsFree}</span>
    </Link>
  );
}
