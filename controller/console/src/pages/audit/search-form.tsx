import { Button, TextInput } from "@carbon/react";
import { useState, type FormEvent } from "react";
import { texts } from "@/texts";
import { FIELDS, isTime, meant, typedOf, type Filters } from "./filters";

const NOTHING: Filters = { search: "", actor: "", action: "", object: "", since: "", until: "" };

interface Props {
  filters: Filters;
  set: (next: Partial<Filters>, replace: boolean) => void;
}

/** What is looked for. A search is made by Enter or by leaving a field; while one is put together, Back leads to before it. */
export function SearchForm({ filters, set }: Props) {
  const t = texts.audit;
  const [typed, setTyped] = useState(() => typedOf(filters));
  // Back and links change what is looked for; what is typed follows them.
  const asked = JSON.stringify(filters);
  const [before, setBefore] = useState(asked);
  if (asked !== before) {
    setBefore(asked);
    setTyped(typedOf(filters));
  }
  const apply = (event?: FormEvent) => {
    event?.preventDefault();
    const shown = typedOf(filters);
    const changed = FIELDS.filter((field) => typed[field].trim() !== shown[field]);
    const next = Object.fromEntries(changed.map((field) => [field, meant(field, typed[field])]));
    if (changed.length > 0) set(next, true);
  };
  const help: Partial<Record<keyof Filters, string>> = {
    search: t.searchHelp,
    actor: t.actorHelp,
    action: t.actionHelp,
    object: t.objectHelp,
  };
  const active = FIELDS.some((field) => filters[field]);
  return (
    <search>
      <form className="audit-search" aria-label={t.filters} onSubmit={apply}>
        {FIELDS.map((field) => (
          <TextInput
            key={field}
            id={`audit-${field}`}
            size="sm"
            type={isTime(field) ? "datetime-local" : "text"}
            labelText={t[field]}
            title={help[field]}
            placeholder={help[field]}
            autoComplete="off"
            spellCheck={false}
            value={typed[field]}
            onChange={(event) => setTyped({ ...typed, [field]: event.target.value })}
            onBlur={() => apply()}
          />
        ))}
        <div className="row">
          <Button type="submit" size="sm" kind="secondary">
            {texts.common.search}
          </Button>
          <Button size="sm" kind="ghost" disabled={!active} onClick={() => set(NOTHING, false)}>
            {t.clear}
          </Button>
        </div>
      </form>
    </search>
  );
}
