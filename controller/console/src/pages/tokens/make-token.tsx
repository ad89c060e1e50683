import { Checkbox, NumberInput, TextInput } from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { readLabels } from "@/hooks/labels";
import { FormModal } from "@/pages/admin/form-modal";
import { LabelsInput } from "@/pages/admin/labels";
import { LIVES, LifeSelect } from "@/pages/admin/life";
import { texts } from "@/texts";
import type { TokenCreated, TokenRequest } from "./queries";

/** Most agents that one token may let in, as the controller has it. */
const MOST_USES = 10_000;
const DAY = 86_400;

/** As tokens are made most often: for one agent. */
const USUAL: TokenRequest = {
  approve: false,
  expires_in_seconds: DAY,
  labels: {},
  note: "",
  partition: null,
  urls: [],
  uses: 1,
};

/** Makes tokens, and has the lists read anew. */
export function useMakeToken() {
  const client = useQueryClient();
  return async (request: Partial<TokenRequest>): Promise<TokenCreated> => {
    const created = await body(api.POST("/api/v1/tokens", { body: { ...USUAL, ...request } }));
    await client.invalidateQueries({ queryKey: ["tokens"] });
    return created;
  };
}

/** Asks what a new token shall allow. */
export function MakeToken(props: { made: (created: TokenCreated) => void; close: () => void }) {
  const t = texts.tokens;
  const makeToken = useMakeToken();
  const [note, setNote] = useState("");
  const [labelText, setLabelText] = useState("");
  const [life, setLife] = useState(DAY);
  const [uses, setUses] = useState(1);
  const [approve, setApprove] = useState(false);
  const [partition, setPartition] = useState("");
  const labels = readLabels(labelText);
  const usesValid = Number.isInteger(uses) && uses >= 1 && uses <= MOST_USES;
  const run = async () => {
    const request = {
      note: note.trim(),
      labels: labels ?? {},
      expires_in_seconds: life,
      uses,
      approve,
      partition: partition.trim() || null,
    };
    props.made(await makeToken(request));
  };
  return (
    <FormModal
      title={t.makeTitle}
      action={t.makeAction}
      valid={labels !== undefined && usesValid}
      run={run}
      close={props.close}
    >
      <TextInput
        id="token-note"
        labelText={t.note}
        helperText={t.noteHelp}
        maxLength={200}
        data-modal-primary-focus
        value={note}
        onChange={(event) => setNote(event.target.value)}
      />
      <LabelsInput id="token-labels" help={t.labelsHelp} value={labelText} change={setLabelText} />
      <LifeSelect id="token-life" label={t.life} lives={LIVES} value={life} change={setLife} />
      <NumberInput
        id="token-uses"
        label={t.uses}
        min={1}
        max={MOST_USES}
        value={uses}
        invalid={!usesValid}
        invalidText={t.usesInvalid}
        onChange={(_, { value }) => setUses(Number(value))}
      />
      <Checkbox
        id="token-approve"
        labelText={t.approve}
        helperText={t.approveHelp}
        checked={approve}
        onChange={(_, { checked }) => setApprove(checked)}
      />
      <TextInput
        id="token-partition"
        labelText={t.partition}
        helperText={t.partitionHelp}
        autoComplete="off"
        spellCheck={false}
        value={partition}
        onChange={(event) => setPartition(event.target.value)}
      />
    </FormModal>
  );
}
