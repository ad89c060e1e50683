import { Button, TextInput } from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { useMay } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { OnlyFor } from "@/components/only-for";
import { useToasts } from "@/components/toasts";
import { FormModal } from "@/pages/admin/form-modal";
import { Listing, type Column } from "@/pages/admin/listing";
import { texts } from "@/texts";
import type { LicenceView } from "./standing";

type Pair = components["schemas"]["LicencePair"];

/** Changes the pairs, and shows what follows. */
function useChange() {
  const client = useQueryClient();
  const toasts = useToasts();
  return async (path: "/api/v1/licence/pair" | "/api/v1/licence/unpair", pair: Pair, done: string) => {
    client.setQueryData(["licence", "view"], await body(api.POST(path, { body: pair })));
    toasts.done(done);
  };
}

/** Declared high-availability pairs. */
export function Pairs({ view }: { view: LicenceView }) {
  const t = texts.licence;
  const may = useMay("admin");
  const change = useChange();
  const [declaring, setDeclaring] = useState(false);
  const [ending, setEnding] = useState<Pair>();
  const pairs = view.pairs ?? [];
  return (
    <section className="panel stack">
      <h2>{t.pairs}</h2>
      <p>
        {t.pairsHelp} {t.pairsCounted(view.pairs_counted ?? 0, view.ha_pairs ?? 0)}
      </p>
      {pairs.length ? (
        <Listing
          label={t.pairs}
          columns={columns(may, setEnding)}
          rows={pairs}
          rowKey={({ a, b }) => `${a} ${b}`}
        />
      ) : (
        <p className="muted">{t.pairsEmpty}</p>
      )}
      <div className="row">
        <OnlyFor least="admin" told>
          <Button kind="tertiary" size="md" onClick={() => setDeclaring(true)}>
            {t.pair}
          </Button>
        </OnlyFor>
      </div>
      {declaring ? <Declare close={() => setDeclaring(false)} /> : null}
      {ending ? (
        <Confirm
          title={t.unpairTitle}
          action={t.unpairAction}
          danger
          run={() => change("/api/v1/licence/unpair", ending, t.unpaired)}
          close={() => setEnding(undefined)}
        >
          <p>{t.unpairHelp(ending.a, ending.b)}</p>
        </Confirm>
      ) : null}
    </section>
  );
}

function columns(may: boolean, end: (pair: Pair) => void): Column<Pair>[] {
  const t = texts.licence;
  const both: Column<Pair>[] = [
    { name: t.pairColumns.a, cell: ({ a }) => <span className="mono">{a}</span> },
    { name: t.pairColumns.b, cell: ({ b }) => <span className="mono">{b}</span> },
  ];
  if (!may) return both;
  const actions: Column<Pair> = {
    name: t.pairColumns.actions,
    kind: "actions",
    cell: (pair) => (
      <Button kind="ghost" size="sm" aria-label={t.unpair(pair.a, pair.b)} onClick={() => end(pair)}>
        {t.unpairAction}
      </Button>
    ),
  };
  return [...both, actions];
}

function Declare({ close }: { close: () => void }) {
  const t = texts.licence;
  const change = useChange();
  const [a, setA] = useState("");
  const [b, setB] = useState("");
  const field = (id: string, label: string, value: string, set: (value: string) => void) => (
    <TextInput
      id={id}
      labelText={label}
      placeholder={t.pairExample}
      autoComplete="off"
      spellCheck={false}
      value={value}
      {...(id === "pair-a" ? { "data-modal-primary-focus": true } : { helperText: t.pairHint })}
      onChange={(event) => set(event.target.value)}
    />
  );
  return (
    <FormModal
      title={t.pairTitle}
      action={t.pair}
      valid={a.trim() !== "" && b.trim() !== ""}
      run={() => change("/api/v1/licence/pair", { a: a.trim(), b: b.trim() }, t.paired)}
      close={close}
    >
      {field("pair-a", t.pairFirst, a, setA)}
      {field("pair-b", t.pairSecond, b, setB)}
    </FormModal>
  );
}
