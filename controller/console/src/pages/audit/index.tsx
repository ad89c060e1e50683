import { Button } from "@carbon/react";
import { Download, ListChecked } from "@carbon/icons-react";
import { useState } from "react";
import { Page } from "@/components/page";
import { texts } from "@/texts";
import { Entries } from "./entries";
import { EntryPanel } from "./entry";
import { useFilters } from "./filters";
import { SearchForm } from "./search-form";
import { Verification } from "./verification";
import "@/pages/admin/admin.scss";
import "./audit.scss";

/** What was done, by whom: searched, followed, exported and verified. */
export default function Index() {
  const t = texts.audit;
  const { filters, set, entry, show } = useFilters();
  const [verifying, setVerifying] = useState(false);
  return (
    <Page
      title={t.title}
      lead={t.lead}
      actions={
        <>
          <Button
            as="a"
            kind="tertiary"
            renderIcon={Download}
            title={t.exportHelp}
            href="/api/v1/audit/export"
            download="muster-audit.jsonl"
          >
            {t.export}
          </Button>
          <Button kind="tertiary" renderIcon={ListChecked} onClick={() => setVerifying(true)}>
            {t.verify}
          </Button>
        </>
      }
    >
      {verifying ? <Verification close={() => setVerifying(false)} /> : null}
      <SearchForm filters={filters} set={set} />
      <div className={entry ? "audit-split" : ""}>
        <Entries key={JSON.stringify(filters)} filters={filters} open={entry} show={show} />
        {entry ? <EntryPanel sequence={entry} close={() => show(undefined)} /> : null}
      </div>
    </Page>
  );
}
