import { Button, Checkbox, IconButton } from "@carbon/react";
import { ArrowDown, ArrowUp, Column } from "@carbon/icons-react";
import { MenuPopover } from "@/components/menu-popover";
import { texts } from "@/texts";
import type { ColumnChoice } from "./columns";

/** A button that opens the list of columns: which are shown, and in which order. */
export function ColumnMenu<T>({ choice }: { choice: ColumnChoice<T> }) {
  return (
    <MenuPopover label={texts.grid.columns} icon={Column} align="bottom-end">
      <ColumnList choice={choice} />
    </MenuPopover>
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
