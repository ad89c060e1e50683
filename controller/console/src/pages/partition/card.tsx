import type { ReactNode } from "react";
import { Works } from "@/components/health";
import { Time } from "@/components/time";
import type { components } from "@/api/schema";
import { count } from "@/hooks/format";
import { texts } from "@/texts";

type Component = components["schemas"]["ComponentView"];

/** A source or a destination: its state, why, and what it counts. */
export function Card(props: { name: string; component: Component | undefined; children: ReactNode }) {
  const { name, component, children } = props;
  return (
    <article className="part" aria-label={name}>
      <div className="part-head">
        <h3>{name}</h3>
        {component ? <Works healthy={component.healthy} word={component.status ?? ""} /> : null}
        {component?.since ? (
          <span className="muted">
            {texts.partition.since} <Time at={component.since} relative />
          </span>
        ) : null}
      </div>
      {component?.reason ? <p className="reason">{component.reason}</p> : null}
      {children}
    </article>
  );
}

/** Rates of one kind over the three spans, and in all. */
export interface RateRow {
  name: string;
  now: string;
  minute: string;
  hour: string;
  total: number;
}

/** Rates as a small table. */
export function RateTable({ label, rows }: { label: string; rows: readonly RateRow[] }) {
  const t = texts.partition.sources;
  return (
    <table className="small-table" aria-label={label}>
      <thead>
        <tr>
          <th scope="col">{t.perSecond}</th>
          <th scope="col" className="number">
            {t.now}
          </th>
          <th scope="col" className="number">
            {t.minute}
          </th>
          <th scope="col" className="number">
            {t.hour}
          </th>
          <th scope="col" className="number">
            {t.totals}
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <th scope="row">{row.name}</th>
            <td className="number">{row.now}</td>
            <td className="number">{row.minute}</td>
            <td className="number">{row.hour}</td>
            <td className="number">{row.total.toLocaleString()}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A counter of trouble; it stands out where it is not 0. */
export interface Counter {
  name: string;
  value: ReactNode;
  hint?: string;
  trouble?: boolean;
}

/** A counter of trouble by its number. */
export function trouble(name: string, value: number, hint: string): Counter {
  return { name, value: count(value), hint, trouble: value > 0 };
}

/** Counters, each with what it means on hover. */
export function Counters({ counters }: { counters: readonly Counter[] }) {
  return (
    <dl className="counters" aria-label={texts.partition.sources.counters}>
      {counters.map(({ name, value, hint, trouble: bad }) => (
        <div key={name} title={hint} className={bad ? "is-trouble" : undefined}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
