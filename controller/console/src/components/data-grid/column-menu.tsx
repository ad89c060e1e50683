import { Button, Checkbox, IconButton, Popover, PopoverContent } from "@carbon/react";
import { ArrowDown, ArrowUp, Column } from "@carbon/icons-react";
import { useRef, useState } from "react";
import { texts } from "@/texts";
import type { ColumnChoice } from "./columns";

/** A button that opens the list of columns: which are shown, and in which order. */
export function ColumnMenu<T>({ choice }: { choice: ColumnChoice<T> }) {
  const t = texts.grid;
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  return (
    <Popover
      open={open}
      align="bottom-end"
      caret={false}
      dropShadow
      onRequestClose={() => setOpen(false)}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        setOpen(false);
        button.current?.focus();
      }}
    >
      <Button
        ref={button}
        kind="ghost"
        size="sm"
        renderIcon={Column}
        aria-expanded={open}
        aria-haspopup="dialog"
        onClick={() => setOpen(!open)}
      >
        {t.columns}
      </Button>
      <PopoverContent>{open ? <ColumnList choice={choice} /> : null}</PopoverContent>
    </Popover>
  );
}

function ColumnList<T>({ choice }: { choice: ColumnChoice<T> }) {
  const t = texts.grid;
  const movable = choice.all.filter(({ names }) => !names);
  return (
    <div role="dialog" aria-label={t.columns} className="data-grid-columns">
      <ul>
        {movable.map(({ id, name }, at) => (
          <li key={id}>
            <Checkbox
              id={`column-${id}`}
              labelText={name}
              checked={choice.isShown(id)}
              onChange={(_, { checked }) => choice.show(id, checked)}
            />
            <Mover name={t.earlier(name)} up disabled={at === 0} move={() => choice.move(id, -1)} />
            <Mover
              name={t.later(name)}
              disabled={at === movable.length - 1}
              move={() => choice.move(id, 1)}
            />
          </li>
        ))}
      </ul>
      <div className="row">
        <span className="muted">{t.columnsHelp}</span>
        <Button kind="ghost" size="sm" onClick={choice.reset}>
          {t.reset}
        </Button>
      </div>
    </div>
  );
}

function Mover(props: { name: string; up?: boolean; disabled: boolean; move: () => void }) {
  return (
    <IconButton
      kind="ghost"
      size="xs"
      align="left"
      label={props.name}
      disabled={props.disabled}
      onClick={props.move}
    >
      {props.up ? <ArrowUp /> : <ArrowDown />}
    </IconButton>
  );
}
