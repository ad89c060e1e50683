import { InlineNotification, Select, SelectItem, Stack, TextInput } from "@carbon/react";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { ApiError, wordsOf } from "@/api/problem";
import { Dialog } from "@/components/dialog";
import { texts } from "@/texts";
import { asYaml, useDrafts, usePolicies } from "../data";

const t = texts.policies.create;
const { templates } = texts.policies;
type Template = keyof typeof templates;
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const isTemplate = (text: string): text is Template => text in templates;

/** Why a name cannot be taken; nothing if it can. */
function useObjection(name: string): string | undefined {
  const policies = usePolicies();
  const drafts = useDrafts();
  if (name === "") return undefined;
  if (!NAME.test(name)) return t.nameRule;
  if (policies.data?.some((policy) => policy.name === name && !policy.removed)) return t.policyExists(name);
  if (drafts.data?.some((draft) => draft.name === name)) return t.draftExists(name);
  return undefined;
}

/** Begins a policy: its name and what it starts from. It becomes a draft at once. */
export function NewPolicy({ close }: { close: () => void }) {
  const [, navigate] = useLocation();
  const [name, setName] = useState("");
  const [from, setFrom] = useState<Template>("syslog");
  const objection = useObjection(name);
  const making = useMutation({
    mutationFn: () =>
      api.PUT("/api/v1/drafts/{name}", {
        params: { path: { name } },
        bodySerializer: asYaml.bodySerializer,
        headers: { ...asYaml.headers, "if-none-match": "*" },
        body: templates[from].text.replace("NAME", name),
      }),
    onSuccess: () => navigate(`/policies/${name}/edit`),
  });
  const taken = making.error instanceof ApiError && making.error.status === 412;
  return (
    <Dialog
      size="sm"
      busy={making.isPending}
      modalHeading={t.title}
      primaryButtonText={t.begin}
      secondaryButtonText={texts.common.cancel}
      primaryButtonDisabled={name === "" || objection !== undefined}
      onRequestSubmit={() => making.mutate()}
      onRequestClose={close}
      shouldSubmitOnEnter
    >
      <Stack gap={5}>
        <p>{t.help}</p>
        <TextInput
          id="policy-name"
          labelText={t.name}
          helperText={t.nameRule}
          data-modal-primary-focus
          autoComplete="off"
          spellCheck={false}
          value={name}
          invalid={objection !== undefined}
          invalidText={objection ?? ""}
          onChange={(event) => setName(event.target.value.trim().toLowerCase())}
        />
        <Select
          id="policy-template"
          labelText={t.template}
          helperText={t.templateHelp}
          value={from}
          onChange={(event) => {
            if (isTemplate(event.target.value)) setFrom(event.target.value);
          }}
        >
          {Object.entries(templates).map(([key, template]) => (
            <SelectItem key={key} value={key} text={template.title} />
          ))}
        </Select>
        {making.error ? (
          <InlineNotification
            kind="error"
            lowContrast
            hideCloseButton
            title={texts.common.notDone}
            subtitle={taken ? t.draftExists(name) : wordsOf(making.error)}
          />
        ) : null}
      </Stack>
    </Dialog>
  );
}
