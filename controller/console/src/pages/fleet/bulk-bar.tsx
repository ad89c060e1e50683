import { Button, MenuButton, MenuItem, MenuItemDivider } from "@carbon/react";
import { lazy, Suspense, useState } from "react";
import type { GridSelection } from "@/components/data-grid/types";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import type { BulkKind } from "./bulk";
import type { PartitionRow } from "./query";

/** Asked for only when something is to be done. */
const BulkDialog = lazy(() => import("./bulk-dialog"));

const KINDS: readonly BulkKind[] = ["setLabel", "removeLabel", "announce", "end", "restart"];

/** What can be done with those that are chosen. */
export function BulkBar({ selection }: { selection: GridSelection<PartitionRow> }) {
  const t = texts.fleet.bulk;
  // Those that were chosen when it was asked for, whatever happens below meanwhile.
  const [asked, setAsked] = useState<{ kind: BulkKind; rows: readonly PartitionRow[] }>();
  const number = selection.chosen.size;
  const ask = (kind: BulkKind) => () => setAsked({ kind, rows: [...selection.chosen.values()] });
  return (
    <>
      {number > 0 ? (
        <div className="fleet-bulk" role="region" aria-label={texts.grid.selection}>
          <strong role="status">{t.selected(count(number))}</strong>
          <MenuButton label={t.more} size="sm" menuAlignment="top-start">
            {KINDS.map((kind) => (
              <MenuItem key={kind} label={t[kind]} onClick={ask(kind)} />
            ))}
            <MenuItemDivider />
            <MenuItem kind="danger" label={t.quarantine} onClick={ask("quarantine")} />
          </MenuButton>
          <Button kind="ghost" size="sm" onClick={selection.clear}>
            {t.clear}
          </Button>
        </div>
      ) : null}
      {asked ? (
        <Suspense>
          <BulkDialog {...asked} close={() => setAsked(undefined)} />
        </Suspense>
      ) : null}
    </>
  );
}
