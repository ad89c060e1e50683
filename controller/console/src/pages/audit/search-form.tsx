import { Button, TextInput } from "@carbon/react";
import { useState, type FormEvent } from "react";
import { texts } from "@/texts";
import { FIELDS, type Filters } from "./filters";

/** What is looked for. A search is made by Enter or by leaving a field. */
export function SearchForm({ filters, set }: { filters: Filters; set: (next: Partial<Filters>) => void }) {
  const t = texts.audit;
  const [typed, setTyped] = useState(filters);
  const apply = (event?: FormEvent) => {
    event?.preventDefault();
    if (FIELDS.some((field) => typed[field].trim() !== filters[field])) set(typed);
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
            type={field === "since" || field === "until" ? "datetime-local" : "text"}
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
          <Button
            size="sm"
            kind="ghost"
            disabled={!active}
            onClick={() => set({ search: "", actor: "", action: "", object: "", since: "", until: "" })}
          >
            {t.clear}
          </Button>
        </div>
      </form>
    </search>
  );
}
