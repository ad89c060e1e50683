import { Button, Search, Toggle } from "@carbon/react";
import { Add } from "@carbon/icons-react";
import { useState } from "react";
import { useMay } from "@/api/session";
import { Page } from "@/components/page";
import { EmptyState, Loaded } from "@/components/states";
import { useAddress } from "@/hooks/address";
import { texts } from "@/texts";
import { useCarrying, useDrafts, usePolicies } from "../data";
import { NewPolicy } from "./new-policy";
import { Pending } from "./pending";
import { rowsOf, wanted } from "./rows";
import { PolicyTable } from "./table";

const t = texts.policies.list;

/** Every policy with how far it has got, and what would change it. */
export function List() {
  const may = useMay("operator");
  const [making, setMaking] = useState(false);
  const begin = () => setMaking(true);
  return (
    <Page
      title={texts.policies.title}
      lead={t.lead}
      actions={
        may ? (
          <Button size="md" renderIcon={Add} onClick={begin}>
            {t.add}
          </Button>
        ) : null
      }
    >
      <Pending />
      <Rows begin={may ? begin : undefined} />
      {making ? <NewPolicy close={() => setMaking(false)} /> : null}
    </Page>
  );
}

/** Words and switches of the list, kept in the address. */
function useFilter() {
  const [params, change] = useAddress();
  const set = (name: "q" | "removed", value: string) => change({ [name]: value }, true);
  return { words: params.get("q") ?? "", removed: params.get("removed") === "1", set };
}

function Rows({ begin }: { begin: (() => void) | undefined }) {
  const policies = usePolicies();
  const drafts = useDrafts();
  const carrying = useCarrying();
  const { words, removed, set } = useFilter();
  return (
    <Loaded query={policies}>
      {(revisions) => {
        const rows = rowsOf(revisions, drafts.data ?? [], carrying.data ?? new Map());
        if (rows.length === 0) return <Nothing begin={begin} />;
        const shown = wanted(rows, words, removed);
        return (
          <>
            <div className="policy-tools">
              <Search
                size="md"
                labelText={t.search}
                placeholder={t.search}
                value={words}
                onChange={(event) => set("q", event.target.value)}
              />
              <Toggle
                id="removed"
                size="sm"
                labelText=""
                aria-label={t.removed}
                labelA={t.removed}
                labelB={t.removed}
                toggled={removed}
                onToggle={(on) => set("removed", on ? "1" : "")}
              />
            </div>
            {shown.length > 0 ? (
              <PolicyTable rows={shown} />
            ) : (
              <EmptyState
                title={t.noMatch}
                action={
                  <Button kind="tertiary" size="sm" onClick={() => set("q", "")}>
                    {t.clear}
                  </Button>
                }
              >
                {t.noMatchHelp}
              </EmptyState>
            )}
          </>
        );
      }}
    </Loaded>
  );
}

function Nothing({ begin }: { begin: (() => void) | undefined }) {
  return (
    <EmptyState
      title={t.empty}
      action={
        begin ? <Button onClick={begin}>{t.add}</Button> : <span>{texts.common.needs("operator")}</span>
      }
    >
      {t.emptyHelp}
    </EmptyState>
  );
}
