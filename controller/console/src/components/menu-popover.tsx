import { Button, Popover, PopoverContent } from "@carbon/react";
import type { CarbonIconType } from "@carbon/icons-react";
import { useRef, useState, type ReactNode } from "react";

/** A button that opens something to choose in. Escape closes it, and gives the focus back to the button. */
export function MenuPopover(props: {
  label: string;
  icon: CarbonIconType;
  align: "bottom-start" | "bottom-end";
  /** Drawn only while it is open. */
  children: ReactNode;
}) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  return (
    <Popover
      open={open}
      align={props.align}
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
        renderIcon={props.icon}
        aria-expanded={open}
        aria-haspopup="dialog"
        onClick={() => setOpen(!open)}
      >
        {props.label}
      </Button>
      <PopoverContent>{open ? props.children : null}</PopoverContent>
    </Popover>
  );
}
