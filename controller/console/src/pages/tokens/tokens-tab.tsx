import { Button } from "@carbon/react";
import { CheckmarkFilled, CircleDash, ErrorFilled, TrashCan, type CarbonIconType } from "@carbon/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "@/api/client";
import { useMay } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { EmptyState, Loaded } from "@/components/states";
import { Time, useNow } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { LabelTags } from "@/pages/admin/labels";
import { Listing, type Column } from "@/pages/admin/listing";
import { texts } from "@/texts";
import { useTokens, type TokenView } from "./queries";

type State = keyof typeof texts.tokens.state;

const ICONS: Record<State, { icon: CarbonIconType; tone: string }> = {
  usable: { icon: CheckmarkFilled, tone: "good" },
  spent: { icon: CircleDash, tone: "calm" },
  expired: { icon: CircleDash, tone: "calm" },
  void: { icon: ErrorFilled, tone: "bad" },
};

function stateOf(token: TokenView, now: number): State {
  if (token.void) return "void";
  if (Date.parse(token.expires_at) <= now) return "expired";
  return token.used >= token.uses ? "spent" : "usable";
}

function TokenState({ token }: { token: TokenView }) {
  const state = stateOf(token, useNow());
  const { icon: Icon, tone } = ICONS[state];
  return (
    <span className={`state tone-${tone}`}>
      <Icon aria-hidden="true" />
      {texts.tokens.state[state]}
    </span>
  );
}

/** What a token is called: its note, or the beginning of its id. */
function nameOf(token: TokenView): string {
  return token.note || token.id.slice(0, 8);
}

function columns(may: boolean, remove: (token: TokenView) => void): Column<TokenView>[] {
  const t = texts.tokens;
  const all: Column<TokenView>[] = [
    {
      name: t.columns.token,
      cell: (token) => (
        <>
          <div>{nameOf(token)}</div>
          <div className="sub mono">{token.id}</div>
        </>
      ),
    },
    {
      name: t.columns.labels,
      cell: (token) => (
        <>
          <LabelTags labels={token.labels} />
          {token.approve ? <div className="sub">{t.approval}</div> : null}
          {token.partition ? <div className="sub">{t.forPartition(token.partition)}</div> : null}
        </>
      ),
    },
    { name: t.columns.uses, cell: (token) => t.usesOf(token.used, token.uses) },
    { name: t.columns.state, cell: (token) => <TokenState token={token} /> },
    { name: t.columns.expires, cell: (token) => <Time at={token.expires_at} relative /> },
    {
      name: t.columns.made,
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
  const actions: Column<TokenView> = {
    name: t.columns.actions,
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

/** Enrolment tokens. `make`: how to make one, unless that is offered already. */
export function TokensTab({ make }: { make: (() => void) | undefined }) {
  const t = texts.tokens;
  const may = useMay("operator");
  const query = useTokens();
  const client = useQueryClient();
  const toasts = useToasts();
  const [removing, setRemoving] = useState<TokenView>();
  const remove = async (id: string) => {
    await api.DELETE("/api/v1/tokens/{id}", { params: { path: { id } } });
    toasts.done(t.removed);
    await client.invalidateQueries({ queryKey: ["tokens"] });
  };
  return (
    <>
      <Loaded query={query}>
        {(tokens) =>
          tokens.length === 0 ? (
            <EmptyState
              title={t.emptyTitle}
              action={may && make ? <Button onClick={make}>{t.make}</Button> : null}
            >
              {may ? t.emptyHelp : t.emptyViewer}
            </EmptyState>
          ) : (
            <Listing
              label={t.tabs.tokens}
              columns={columns(may, setRemoving)}
              rows={tokens}
              rowKey={(token) => token.id}
            />
          )
        }
      </Loaded>
      {removing ? (
        <Confirm
          title={t.removeTitle}
          action={texts.common.remove}
          danger
          run={() => remove(removing.id)}
          close={() => setRemoving(undefined)}
        >
          <p>{t.removeHelp(nameOf(removing))}</p>
        </Confirm>
      ) : null}
    </>
  );
}
