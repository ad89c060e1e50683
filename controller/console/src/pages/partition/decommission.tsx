import { InlineNotification, Stack, TextInput } from "@carbon/react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { wordsOf } from "@/api/problem";
import { Dialog } from "@/components/dialog";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import type { Agent } from "./queries";

/** Removes a partition for good. Its name has to be typed: a click too many must not do it. */
export function Decommission({ agent, close }: { agent: Agent; close: () => void }) {
  const t = texts.partition.decommission;
  const toasts = useToasts();
  const client = useQueryClient();
  const [, go] = useLocation();
  const [typed, setTyped] = useState("");
  const [reason, setReason] = useState("");
  const { id, name } = agent.summary;
  const doing = useMutation({
    mutationFn: () =>
      api.POST("/api/v1/agents/{agent}/decommission", {
        params: { path: { agent: id } },
        body: { reason: reason.trim() },
      }),
    onSuccess: () => {
      toasts.done(t.done, name);
      go("/fleet");
      client.removeQueries({ queryKey: ["agents", id] });
      void client.invalidateQueries();
    },
  });
  return (
    <Dialog
      busy={doing.isPending}
      danger
      size="sm"
      modalHeading={t.title(name)}
      primaryButtonText={texts.partition.actions.decommission}
      secondaryButtonText={texts.common.cancel}
      primaryButtonDisabled={typed !== name}
      onRequestSubmit={() => doing.mutate()}
      onRequestClose={close}
    >
      <Stack gap={5}>
        <p>{t.help}</p>
        <TextInput
          id="typed-name"
          labelText={t.type(name)}
          autoComplete="off"
          data-modal-primary-focus
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        <TextInput
          id="decommission-reason"
          labelText={texts.common.reason}
          helperText={texts.common.reasonHelp}
          maxLength={200}
          value={reason}
          onChange={(event) => setReason(event.target.value)}
        />
        {doing.error ? (
          <InlineNotification
            kind="error"
            lowContrast
            hideCloseButton
            title={texts.common.notDone}
            subtitle={wordsOf(doing.error)}
          />
        ) : null}
      </Stack>
    </Dialog>
  );
}
