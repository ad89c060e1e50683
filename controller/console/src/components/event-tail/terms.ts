/**
 * Filters of events as text, as far as the console puts them together: `type=AF user=PAY* severity>=7 denied`. The
 * controller reads them; here they are only cut into terms, so that one can be added or taken away.
 */

/** How a field is compared. */
export type Operator = "=" | "!=" | ">=" | "<=";

/** The terms of a filter: it is cut at blanks outside of quotes. */
export function terms(filter: string): string[] {
  return filter.match(/(?:[^\s"]|"[^"]*("|$))+/g) ?? [];
}

/** A condition as text. `exact`: commas are part of the value, not "or". */
export function term(field: string, operator: Operator, value: string, exact = false): string {
  // A quote cannot be written in a filter; `*` stands for it.
  const plain = value.trim().replaceAll('"', "*");
  const quoted = (exact ? /[\s,]/ : /\s/).test(plain) ? `"${plain}"` : plain;
  return `${field}${operator}${quoted}`;
}

/** The filter with one more term. */
export function withTerm(filter: string, added: string): string {
  const all = terms(filter);
  return all.includes(added) ? filter : [...all, added].join(" ");
}

/** The filter without a term. */
export function withoutTerm(filter: string, removed: string): string {
  return terms(filter)
    .filter((each) => each !== removed)
    .join(" ");
}
