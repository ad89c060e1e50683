import { Checkbox, InlineNotification, Stack } from "@carbon/react";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { wordsOf } from "@/api/problem";
import { Dialog } from "@/components/dialog";
import { saveText } from "@/components/event-tail/save";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import type { Agent } from "./queries";

/** Fetches the diagnostics bundle and has the browser save it. */
export function Diagnostics({ agent, close }: { agent: Agent; close: () => void }) {
  const t = texts.partition.diagnostics;
  const toasts = useToasts();
  const [withEvents, setWithEvents] = useState(false);
  const { id, name } = agent.summary;
  const fetching = useMutation({
    mutationFn: () =>
      body<string>(
        api.POST("/api/v1/agents/{agent}/diagnostics", {
          params: { path: { agent: id } },
          body: { with_events: withEvents },
          parseAs: "text",
        }),
      ),
    onSuccess: (text) => {
      saveText(t.file(name), text, "application/json");
      toasts.done(t.done, t.file(name));
      close();
    },
  });
  return (
    <Dialog
      busy={fetching.isPending}
      size="sm"
      modalHeading={t.title(name)}
      primaryButtonText={t.download}
      secondaryButtonText={texts.common.cancel}
      onRequestSubmit={() => fetching.mutate()}
      onRequestClose={close}
    >
      <Stack gap={5}>
        <p>{t.help}</p>
        <Checkbox
          id="with-events"
          labelText={t.withEvents}
          helperText={t.withEventsHelp}
          checked={withEvents}
          onChange={(_, { checked }) => setWithEvents(checked)}
        />
        {fetching.error ? (
          <InlineNotification
            kind="error"
            lowContrast
            hideCloseButton
            title={texts.common.notDone}
            subtitle={wordsOf(fetching.error)}
          />
        ) : null}
      </Stack>
    </Dialog>
  );
}
