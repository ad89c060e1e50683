import { Button } from "@carbon/react";
import { CheckmarkFilled, CircleDash, ErrorFilled, type CarbonIconType } from "@carbon/icons-react";
import { api } from "@/api/client";
import { useMay } from "@/api/session";
import { EmptyState } from "@/components/states";
import { Time, useNow } from "@/components/time";
import type { Column } from "@/pages/admin/listing";
import { texts } from "@/texts";
import { useTokens, type TokenView } from "./queries";
import { TokenListing } from "./token-listing";

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

const t = texts.tokens;
const COLUMNS: readonly Column<TokenView>[] = [
  { name: t.columns.uses, cell: (token) => t.usesOf(token.used, token.uses) },
  { name: t.columns.state, cell: (token) => <TokenState token={token} /> },
  { name: t.columns.expires, cell: (token) => <Time at={token.expires_at} relative /> },
];

/** Enrolment tokens. `make`: how to make one, unless that is offered already. */
export function TokensTab({ make }: { make: (() => void) | undefined }) {
  const may = useMay("operator");
  return (
    <TokenListing
      label={t.tabs.tokens}
      query={useTokens()}
      columns={COLUMNS}
      granted={(token) => (
        <>
          {token.approve ? <div className="sub">{t.approval}</div> : null}
          {token.partition ? <div className="sub">{t.forPartition(token.partition)}</div> : null}
        </>
      )}
      empty={
        <EmptyState
          title={t.emptyTitle}
          action={may && make ? <Button onClick={make}>{t.make}</Button> : null}
        >
          {may ? t.emptyHelp : t.emptyViewer}
        </EmptyState>
      }
      removal={{
        title: t.removeTitle,
        help: t.removeHelp,
        run: (id) => api.DELETE("/api/v1/tokens/{id}", { params: { path: { id } } }),
      }}
    />
  );
}
