import {
  Button,
  DismissibleTag,
  TextInput,
  Toggletip,
  ToggletipButton,
  ToggletipContent,
} from "@carbon/react";
import { Help } from "@carbon/icons-react";
import { useState, type FormEvent } from "react";
import { texts } from "@/texts";
import { Builder } from "./builder";
import type { TailStore } from "./store";
import { terms, withoutTerm, withTerm } from "./terms";

/** What the filter is, and how to make it another. */
export interface FilterUse {
  filter: string;
  selector: string;
  apply: (filter: string, selector: string) => void;
}

/** The filter as text, as conditions that can be taken away, and a builder for who does not know how it is written. */
export function FilterBar(props: FilterUse & { fleet: boolean; store: TailStore }) {
  const { filter, selector, apply } = props;
  return (
    <div className="event-filter">
      {/* What is typed begins anew with what is in force. */}
      <FilterText key={`${filter}\n${selector}`} {...props} />
      <Builder store={props.store} add={(added) => apply(withTerm(filter, added), selector)} />
      <Conditions filter={filter} apply={(next) => apply(next, selector)} />
    </div>
  );
}

function FilterText({ filter, selector, apply, fleet }: FilterUse & { fleet: boolean }) {
  const t = texts.live.filter;
  const [text, setText] = useState(filter);
  const [labels, setLabels] = useState(selector);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    apply(text.trim(), labels.trim());
  };
  return (
    <form className="event-filter-text" onSubmit={submit}>
      <TextInput
        id="event-filter"
        size="sm"
        className="event-filter-input"
        labelText={t.label}
        placeholder={t.placeholder}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {fleet ? (
        <TextInput
          id="event-selector"
          size="sm"
          labelText={t.selector}
          title={t.selectorHelp}
          placeholder={t.selectorPlaceholder}
          value={labels}
          onChange={(event) => setLabels(event.target.value)}
        />
      ) : null}
      <Button type="submit" size="sm">
        {t.apply}
      </Button>
      <HowTo use={(example) => apply(example, selector)} />
    </form>
  );
}

function HowTo({ use }: { use: (example: string) => void }) {
  const t = texts.live.filter;
  return (
    <Toggletip align="bottom-end" className="event-how">
      <ToggletipButton label={t.how}>
        <Help />
      </ToggletipButton>
      <ToggletipContent>
        <p>{t.howLead}</p>
        <ul className="event-examples">
          {t.examples.map(([example, meaning]) => (
            <li key={example}>
              <button
                type="button"
                className="event-example mono"
                aria-label={t.use(example)}
                onClick={() => use(example)}
              >
                {example}
              </button>{" "}
              {meaning}
            </li>
          ))}
        </ul>
      </ToggletipContent>
    </Toggletip>
  );
}

function Conditions({ filter, apply }: { filter: string; apply: (next: string) => void }) {
  const t = texts.live.filter;
  const all = terms(filter);
  if (!all.length) return null;
  return (
    <ul className="event-conditions" aria-label={t.terms}>
      {all.map((each) => (
        <li key={each}>
          <DismissibleTag
            size="md"
            type="cool-gray"
            text={each}
            dismissTooltipLabel={t.removeTerm(each)}
            onClose={() => apply(withoutTerm(filter, each))}
          />
        </li>
      ))}
      <li>
        <Button kind="ghost" size="sm" onClick={() => apply("")}>
          {t.removeAll}
        </Button>
      </li>
    </ul>
  );
}
