import { Button, TextInput } from "@carbon/react";
import { TrashCan } from "@carbon/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, body } from "@/api/client";
import { useMay } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { CopyBlock } from "@/pages/admin/copy-block";
import { FormModal } from "@/pages/admin/form-modal";
import { LabelsInput, LabelTags, parseLabels } from "@/pages/admin/labels";
import { LIVES, LifeSelect } from "@/pages/admin/life";
import { Listing, type Column } from "@/pages/admin/listing";
import { ShownOnce } from "@/pages/admin/once";
import { texts } from "@/texts";
import { useForeignTokens, type ForeignTokenCreated, type ForeignTokenView } from "./queries";

const DAY = 86_400;

function nameOf(token: ForeignTokenView): string {
  return token.note || token.id.slice(0, 8);
}

function columns(may: boolean, remove: (token: ForeignTokenView) => void): Column<ForeignTokenView>[] {
  const t = texts.tokens;
  const all: Column<ForeignTokenView>[] = [
    {
      name: t.foreignColumns.token,
      cell: (token) => (
        <>
          <div>{nameOf(token)}</div>
          <div className="sub mono">{token.id}</div>
        </>
      ),
    },
    { name: t.foreignColumns.labels, cell: (token) => <LabelTags labels={token.labels} /> },
    {
      name: t.foreignColumns.agent,
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
    {
      name: t.foreignColumns.made,
      cell: (token) => (
        <>
          <div>{token.created_by}</div>
          <div className="sub">
            <Time at={token.created_at} relative />
          </div>
        </>
      ),
    },
  ];
  if (!may) return all;
  const actions: Column<ForeignTokenView> = {
    name: t.foreignColumns.actions,
    kind: "actions",
    cell: (token) => (
      <Button
        kind="ghost"
        size="sm"
        hasIconOnly
        renderIcon={TrashCan}
        iconDescription={t.remove(nameOf(token))}
        tooltipPosition="left"
        onClick={() => remove(token)}
      />
    ),
  };
  return [...all, actions];
}

/** Tokens of agents that are not Muster's. */
export function ForeignTab() {
  const t = texts.tokens;
  const may = useMay("operator");
  const query = useForeignTokens();
  const client = useQueryClient();
  const toasts = useToasts();
  const [making, setMaking] = useState(false);
  const [created, setCreated] = useState<ForeignTokenCreated>();
  const [removing, setRemoving] = useState<ForeignTokenView>();
  const remove = async (id: string) => {
    await api.DELETE("/api/v1/foreign-tokens/{id}", { params: { path: { id } } });
    toasts.done(t.removed);
    await client.invalidateQueries({ queryKey: ["tokens"] });
  };
  return (
    <>
      <div className="toolbar">
        <p>{t.foreignLead}</p>
        {may ? (
          <Button size="md" kind="tertiary" onClick={() => setMaking(true)}>
            {t.foreignMake}
          </Button>
        ) : null}
      </div>
      <Loaded query={query}>
        {(tokens) =>
          tokens.length === 0 ? (
            <EmptyState title={t.foreignEmptyTitle}>{t.foreignEmptyHelp}</EmptyState>
          ) : (
            <Listing
              label={t.tabs.foreign}
              columns={columns(may, setRemoving)}
              rows={tokens}
              rowKey={(token) => token.id}
            />
          )
        }
      </Loaded>
      {making ? <MakeForeign made={setCreated} close={() => setMaking(false)} /> : null}
      {created ? <ForeignMade created={created} close={() => setCreated(undefined)} /> : null}
      {removing ? (
        <Confirm
          title={t.foreignRemoveTitle}
          action={texts.common.remove}
          danger
          run={() => remove(removing.id)}
          close={() => setRemoving(undefined)}
        >
          <p>{t.foreignRemoveHelp}</p>
        </Confirm>
      ) : null}
    </>
  );
}

function MakeForeign(props: { made: (created: ForeignTokenCreated) => void; close: () => void }) {
  const t = texts.tokens;
  const client = useQueryClient();
  const [note, setNote] = useState("");
  const [labelText, setLabelText] = useState("");
  const [life, setLife] = useState(DAY);
  const labels = parseLabels(labelText);
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
  const t = texts.tokens;
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
