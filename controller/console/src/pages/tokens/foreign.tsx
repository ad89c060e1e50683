import { Button, TextInput } from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, body } from "@/api/client";
import { OnlyFor } from "@/components/only-for";
import { EmptyState } from "@/components/states";
import { Time } from "@/components/time";
import { readLabels } from "@/hooks/labels";
import { CopyBlock } from "@/pages/admin/copy-block";
import { FormModal } from "@/pages/admin/form-modal";
import { LabelsInput } from "@/pages/admin/labels";
import { LIVES, LifeSelect } from "@/pages/admin/life";
import type { Column } from "@/pages/admin/listing";
import { ShownOnce } from "@/pages/admin/once";
import { texts } from "@/texts";
import { useForeignTokens, type ForeignTokenCreated, type ForeignTokenView } from "./queries";
import { TokenListing } from "./token-listing";

const DAY = 86_400;

const t = texts.tokens;
const COLUMNS: readonly Column<ForeignTokenView>[] = [
  {
    name: t.foreignAgent,
    cell: (token) =>
      token.agent ? (
        <>
          {t.foreignBound}{" "}
          <Link href={`/partitions/${encodeURIComponent(token.agent)}`} className="mono">
            {token.agent}
          </Link>
        </>
      ) : (
        <>
          {t.foreignUnused} <Time at={token.expires_at} relative />
        </>
      ),
  },
];

/** Tokens of agents that are not Muster's. */
export function ForeignTab() {
  const [making, setMaking] = useState(false);
  const [created, setCreated] = useState<ForeignTokenCreated>();
  return (
    <>
      <div className="toolbar">
        <p>{t.foreignLead}</p>
        <OnlyFor least="operator">
          <Button size="md" kind="tertiary" onClick={() => setMaking(true)}>
            {t.foreignMake}
          </Button>
        </OnlyFor>
      </div>
      <TokenListing
        label={t.tabs.foreign}
        query={useForeignTokens()}
        columns={COLUMNS}
        empty={<EmptyState title={t.foreignEmptyTitle}>{t.foreignEmptyHelp}</EmptyState>}
        removal={{
          title: t.foreignRemoveTitle,
          help: () => t.foreignRemoveHelp,
          run: (id) => api.DELETE("/api/v1/foreign-tokens/{id}", { params: { path: { id } } }),
        }}
      />
      {making ? <MakeForeign made={setCreated} close={() => setMaking(false)} /> : null}
      {created ? <ForeignMade created={created} close={() => setCreated(undefined)} /> : null}
    </>
  );
}

function MakeForeign(props: { made: (created: ForeignTokenCreated) => void; close: () => void }) {
  const client = useQueryClient();
  const [note, setNote] = useState("");
  const [labelText, setLabelText] = useState("");
  const [life, setLife] = useState(DAY);
  const labels = readLabels(labelText);
  const run = async () => {
    const request = { note: note.trim(), labels: labels ?? {}, expires_in_seconds: life };
    props.made(await body(api.POST("/api/v1/foreign-tokens", { body: request })));
    await client.invalidateQueries({ queryKey: ["tokens"] });
  };
  return (
    <FormModal
      title={t.foreignTitle}
      action={t.makeAction}
      valid={labels !== undefined}
      run={run}
      close={props.close}
    >
      <TextInput
        id="foreign-note"
        labelText={t.note}
        helperText={t.noteHelp}
        maxLength={200}
        data-modal-primary-focus
        value={note}
        onChange={(event) => setNote(event.target.value)}
      />
      <LabelsInput id="foreign-labels" help={t.foreignLabelsHelp} value={labelText} change={setLabelText} />
      <LifeSelect
        id="foreign-life"
        label={t.foreignLife}
        help={t.foreignLifeHelp}
        lives={LIVES}
        value={life}
        change={setLife}
      />
    </FormModal>
  );
}

function ForeignMade({ created, close }: { created: ForeignTokenCreated; close: () => void }) {
  return (
    <ShownOnce
      title={t.foreignTitle}
      warning={t.foreignOnce}
      label={t.foreignSecret}
      secret={created.token}
      close={close}
    >
      <CopyBlock label={t.foreignUrls} text={created.urls.join("\n")} />
    </ShownOnce>
  );
}
