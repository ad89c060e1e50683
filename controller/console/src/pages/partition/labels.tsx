import { Button, IconButton, InlineNotification, Stack, TextInput } from "@carbon/react";
import { Add, TrashCan } from "@carbon/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, tagged } from "@/api/client";
import { ApiError, wordsOf } from "@/api/problem";
import { Dialog } from "@/components/dialog";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import type { TabUse } from "./index";

interface Pair {
  id: number;
  key: string;
  value: string;
}

function pairs(labels: Record<string, string> | undefined): Pair[] {
  return Object.entries(labels ?? {}).map(([key, value], id) => ({ id, key, value }));
}

/** Edits the labels as they were when it was opened: what somebody else set meanwhile is not overwritten. */
export function LabelEditor({ agent, etag, close }: TabUse & { close: () => void }) {
  const t = texts.partition.labels;
  const [tag, setTag] = useState(etag);
  const [rows, setRows] = useState(() => pairs(agent.summary.labels));
  const toasts = useToasts();
  const client = useQueryClient();
  const { id, name } = agent.summary;
  const saving = useMutation({
    mutationFn: () =>
      api.PUT("/api/v1/agents/{agent}/labels", {
        params: { path: { agent: id } },
        headers: tag ? { "if-match": tag } : {},
        body: Object.fromEntries(rows.map(({ key, value }) => [key.trim(), value.trim()])),
      }),
    onSuccess: async () => {
      toasts.done(t.done, name);
      await client.invalidateQueries({ queryKey: ["agents"] });
      close();
    },
  });
  const reload = async () => {
    const fresh = await tagged(api.GET("/api/v1/agents/{agent}", { params: { path: { agent: id } } }));
    setTag(fresh.etag);
    setRows(pairs(fresh.data.summary.labels));
    saving.reset();
  };
  const keys = rows.map(({ key }) => key.trim());
  const double = keys.find((key, index) => key && keys.indexOf(key) !== index);
  return (
    <Dialog
      size="sm"
      busy={saving.isPending}
      modalHeading={t.title(name)}
      primaryButtonText={texts.common.save}
      secondaryButtonText={texts.common.cancel}
      primaryButtonDisabled={double !== undefined || keys.includes("")}
      onRequestSubmit={() => saving.mutate()}
      onRequestClose={close}
    >
      <Stack gap={5}>
        <p>{t.help}</p>
        <Rows rows={rows} set={setRows} double={double} />
        <Refusal error={saving.error} reload={() => void reload().catch(toasts.failed)} />
      </Stack>
    </Dialog>
  );
}

function Rows(props: { rows: readonly Pair[]; set: (rows: Pair[]) => void; double: string | undefined }) {
  const t = texts.partition.labels;
  const { rows, set, double } = props;
  const change = (id: number, part: Partial<Pair>) =>
    set(rows.map((row) => (row.id === id ? { ...row, ...part } : row)));
  const add = () => set([...rows, { id: Math.max(-1, ...rows.map(({ id }) => id)) + 1, key: "", value: "" }]);
  return (
    <>
      {rows.map(({ id, key, value }) => (
        <div key={id} className="label-row">
          <TextInput
            id={`label-key-${String(id)}`}
            size="sm"
            labelText={t.key}
            value={key}
            invalid={double !== undefined && key.trim() === double}
            invalidText={t.double(key)}
            onChange={(event) => change(id, { key: event.target.value })}
          />
          <TextInput
            id={`label-value-${String(id)}`}
            size="sm"
            labelText={t.value}
            value={value}
            onChange={(event) => change(id, { value: event.target.value })}
          />
          <IconButton
            kind="ghost"
            size="sm"
            align="left"
            label={t.remove(key)}
            onClick={() => set(rows.filter((row) => row.id !== id))}
          >
            <TrashCan />
          </IconButton>
        </div>
      ))}
      <div>
        <Button kind="ghost" size="sm" renderIcon={Add} onClick={add}>
          {t.add}
        </Button>
      </div>
    </>
  );
}

function Refusal({ error, reload }: { error: unknown; reload: () => void }) {
  if (!error) return null;
  const changed = error instanceof ApiError && error.status === 412;
  return (
    <>
      <InlineNotification
        kind="error"
        lowContrast
        hideCloseButton
        title={texts.common.notDone}
        subtitle={changed ? texts.partition.labels.changed : wordsOf(error)}
      />
      {changed ? (
        <div>
          <Button kind="tertiary" size="sm" onClick={reload}>
            {texts.partition.labels.reload}
          </Button>
        </div>
      ) : null}
    </>
  );
}
