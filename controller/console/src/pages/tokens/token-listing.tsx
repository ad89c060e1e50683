import { Button } from "@carbon/react";
import { TrashCan } from "@carbon/icons-react";
import { useQueryClient, type UseQueryResult } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useMay } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useToasts } from "@/components/toasts";
import type { Labels } from "@/hooks/labels";
import { LabelTags } from "@/pages/admin/labels";
import { Listing, type Column } from "@/pages/admin/listing";
import { texts } from "@/texts";

/** What tokens of every kind have. */
interface Token {
  id: string;
  note?: string;
  labels?: Labels;
  created_by: string;
  created_at: string;
}

/** What a token is called: its note, or the beginning of its id. */
function nameOf(token: Token): string {
  return token.note || token.id.slice(0, 8);
}

interface TokenListingProps<T extends Token> {
  label: string;
  query: UseQueryResult<T[]>;
  /** What else stands with the labels that a token grants. */
  granted?: (token: T) => ReactNode;
  /** What tokens of this kind tell besides, between the labels and who made them. */
  columns: readonly Column<T>[];
  /** Instead of the list, where there is none. */
  empty: ReactNode;
  removal: { title: string; help: (name: string) => string; run: (id: string) => Promise<unknown> };
}

/** A list of tokens, and how one of them is deleted. */
export function TokenListing<T extends Token>(props: TokenListingProps<T>) {
  const { label, query, empty, removal } = props;
  const may = useMay("operator");
  const client = useQueryClient();
  const toasts = useToasts();
  const [removing, setRemoving] = useState<T>();
  const remove = async (id: string) => {
    await removal.run(id);
    toasts.done(texts.tokens.removed);
    await client.invalidateQueries({ queryKey: ["tokens"] });
  };
  return (
    <>
      <Loaded query={query}>
        {(tokens) =>
          tokens.length === 0 ? (
            empty
          ) : (
            <Listing
              label={label}
              columns={columns(props, may ? setRemoving : undefined)}
              rows={tokens}
              rowKey={(token) => token.id}
            />
          )
        }
      </Loaded>
      {removing ? (
        <Confirm
          title={removal.title}
          action={texts.common.remove}
          danger
          run={() => remove(removing.id)}
          close={() => setRemoving(undefined)}
        >
          <p>{removal.help(nameOf(removing))}</p>
        </Confirm>
      ) : null}
    </>
  );
}

function columns<T extends Token>(
  props: TokenListingProps<T>,
  remove: ((token: T) => void) | undefined,
): Column<T>[] {
  const t = texts.tokens;
  const all: Column<T>[] = [
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
          {props.granted?.(token)}
        </>
      ),
    },
    ...props.columns,
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
  if (!remove) return all;
  const actions: Column<T> = {
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
