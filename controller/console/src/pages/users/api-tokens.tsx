import { Button, Select, SelectItem, TextInput } from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { isEnough, useSession, type Role } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { EmptyState, Loaded } from "@/components/states";
import { Time, useNow } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { FormModal } from "@/pages/admin/form-modal";
import { LONG_LIVES, LifeSelect } from "@/pages/admin/life";
import { Listing, type Column } from "@/pages/admin/listing";
import { ShownOnce } from "@/pages/admin/once";
import { texts } from "@/texts";
import { useApiTokens, type ApiTokenCreated, type ApiTokenView, type Scope } from "./queries";

const DAY = 86_400;
const USUAL_LIFE = 90 * DAY;

/** The role whose rights a scope gives. */
const SCOPES: readonly (readonly [Scope, Role])[] = [
  ["metrics", "viewer"],
  ["read", "viewer"],
  ["operate", "operator"],
  ["approve", "approver"],
  ["admin", "admin"],
];

function nameOf(token: ApiTokenView): string {
  return token.note || token.id.slice(0, 8);
}

function Expires({ token }: { token: ApiTokenView }) {
  const over = Date.parse(token.expires_at) <= useNow();
  return (
    <>
      {over ? <div>{texts.users.expired}</div> : null}
      <Time at={token.expires_at} relative />
    </>
  );
}

function columns(revoke: (token: ApiTokenView) => void): Column<ApiTokenView>[] {
  const t = texts.users;
  return [
    {
      name: t.apiColumns.note,
      cell: (token) => (
        <>
          <div>{nameOf(token)}</div>
          <div className="sub mono">{token.id}</div>
        </>
      ),
    },
    { name: t.apiColumns.user, cell: (token) => token.user },
    { name: t.apiColumns.scope, cell: (token) => t.scope[token.scope] },
    { name: t.apiColumns.expires, cell: (token) => <Expires token={token} /> },
    { name: t.apiColumns.made, cell: (token) => <Time at={token.created_at} /> },
    {
      name: t.apiColumns.actions,
      kind: "actions",
      cell: (token) => (
        <Button kind="ghost" size="sm" aria-label={t.revokeOf(nameOf(token))} onClick={() => revoke(token)}>
          {t.revoke}
        </Button>
      ),
    },
  ];
}

/** Tokens of programs. */
export function ApiTokensTab() {
  const t = texts.users;
  const query = useApiTokens();
  const client = useQueryClient();
  const toasts = useToasts();
  const [making, setMaking] = useState(false);
  const [created, setCreated] = useState<ApiTokenCreated>();
  const [revoking, setRevoking] = useState<ApiTokenView>();
  const revoke = async (id: string) => {
    await api.DELETE("/api/v1/api-tokens/{id}", { params: { path: { id } } });
    toasts.done(t.revoked);
    await client.invalidateQueries({ queryKey: ["users"] });
  };
  return (
    <>
      <div className="toolbar">
        <p>{t.apiHelp}</p>
        <Button size="md" onClick={() => setMaking(true)}>
          {t.apiMake}
        </Button>
      </div>
      <Loaded query={query}>
        {(tokens) =>
          tokens.length ? (
            <Listing
              label={t.tabs.apiTokens}
              columns={columns(setRevoking)}
              rows={tokens}
              rowKey={(token) => token.id}
            />
          ) : (
            <EmptyState title={t.apiEmptyTitle}>{t.apiEmptyHelp}</EmptyState>
          )
        }
      </Loaded>
      {making ? <MakeApiToken made={setCreated} close={() => setMaking(false)} /> : null}
      {created ? (
        <ShownOnce
          title={t.apiMade}
          warning={t.apiOnce}
          label={t.apiSecret}
          secret={created.token}
          close={() => setCreated(undefined)}
        />
      ) : null}
      {revoking ? (
        <Confirm
          title={t.revokeTitle(nameOf(revoking))}
          action={t.revoke}
          danger
          run={() => revoke(revoking.id)}
          close={() => setRevoking(undefined)}
        >
          <p>{t.revokeHelp}</p>
        </Confirm>
      ) : null}
    </>
  );
}

function MakeApiToken(props: { made: (created: ApiTokenCreated) => void; close: () => void }) {
  const t = texts.users;
  const client = useQueryClient();
  const { who } = useSession();
  const [scope, setScope] = useState<Scope>("read");
  const [life, setLife] = useState(USUAL_LIFE);
  const [note, setNote] = useState("");
  const offered = SCOPES.filter(([, role]) => who && isEnough(who.role, role)).map(([one]) => one);
  const run = async () => {
    const request = { scope, expires_in_seconds: life, note: note.trim() };
    props.made(await body(api.POST("/api/v1/api-tokens", { body: request })));
    await client.invalidateQueries({ queryKey: ["users"] });
  };
  return (
    <FormModal title={t.apiMake} action={t.apiMakeAction} valid run={run} close={props.close}>
      <TextInput
        id="api-note"
        labelText={t.apiNote}
        helperText={t.apiNoteHelp}
        maxLength={200}
        data-modal-primary-focus
        value={note}
        onChange={(event) => setNote(event.target.value)}
      />
      <Select
        id="api-scope"
        labelText={t.apiScope}
        value={scope}
        onChange={(event) => setScope(offered.find((one) => one === event.target.value) ?? "read")}
      >
        {offered.map((one) => (
          <SelectItem key={one} value={one} text={t.scope[one]} />
        ))}
      </Select>
      <LifeSelect id="api-life" label={t.apiLife} lives={LONG_LIVES} value={life} change={setLife} />
    </FormModal>
  );
}
