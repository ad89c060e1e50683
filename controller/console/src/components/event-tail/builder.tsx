import { Button, ComboBox, Select, SelectItem } from "@carbon/react";
import { useState } from "react";
import { texts } from "@/texts";
import { keywords, valuesOf } from "./suggest";
import type { TailStore } from "./store";
import { term, type Operator } from "./terms";

const EQUAL: readonly Operator[] = ["=", "!="];
const COMPARED: readonly Operator[] = [">=", "<="];

/** Puts a condition together; fields and values are suggested by what came so far. */
export function Builder({ store, add }: { store: TailStore; add: (term: string) => void }) {
  const t = texts.live.filter;
  const [field, setField] = useState("");
  const [operator, setOperator] = useState<Operator>("=");
  const [value, setValue] = useState("");
  const [known, setKnown] = useState<{ fields: string[]; values: string[] }>(() => ({
    fields: keywords([]),
    values: [],
  }));
  const operators = field === "severity" ? COMPARED : EQUAL;
  const chosen = operators.includes(operator) ? operator : (operators[0] ?? "=");
  // Read when a list is opened: suggestions that change while somebody reads them would be in the way.
  const suggest = (of: string) => {
    const { rows } = store.snapshot();
    setKnown({ fields: keywords(rows), values: valuesOf(rows, of) });
  };
  const submit = () => {
    if (!field || !value.trim()) return;
    add(term(field, chosen, value));
    setValue("");
  };
  return (
    <div className="event-builder" role="group" aria-label={t.build}>
      <ComboBox
        id="event-builder-field"
        size="sm"
        titleText={t.field}
        allowCustomValue
        items={known.fields}
        selectedItem={field || null}
        onFocus={() => suggest(field)}
        onChange={({ selectedItem, inputValue }) => {
          const next = (selectedItem ?? inputValue ?? "").trim();
          setField(next);
          suggest(next);
        }}
      />
      <Select
        id="event-builder-operator"
        size="sm"
        labelText={t.operator}
        value={chosen}
        onChange={(event) => setOperator(event.target.value as Operator)}
      >
        {operators.map((each) => (
          <SelectItem key={each} value={each} text={t.operators[each]} />
        ))}
      </Select>
      <ComboBox
        id="event-builder-value"
        size="sm"
        titleText={t.value}
        title={t.valueHelp}
        allowCustomValue
        items={known.values}
        selectedItem={value || null}
        onFocus={() => suggest(field)}
        onChange={({ selectedItem, inputValue }) => setValue(selectedItem ?? inputValue ?? "")}
        onInputChange={(text) => setValue(text)}
      />
      <Button kind="tertiary" size="sm" disabled={!field || !value.trim()} onClick={submit}>
        {t.add}
      </Button>
    </div>
  );
}
