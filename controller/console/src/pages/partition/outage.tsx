import { Button, Select, SelectItem } from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "@/api/client";
import { useMay } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { Time } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";
import type { Agent } from "./queries";

/** The planned outage that it is in, and what operators do about outages. */
export function Outage({ agent }: { agent: Agent }) {
  const t = texts.partition.outage;
  const may = useMay("operator");
  const [dialog, setDialog] = useState<"announce" | "end">();
  const planned = agent.summary.planned_outage;
  if (!planned && !may) return null;
  const close = () => setDialog(undefined);
  return (
    <section aria-labelledby="outage">
      <h2 id="outage">{t.title}</h2>
      {planned ? (
        <p>
          {t.announced(planned.announced_by, planned.reason)}, <Time at={planned.since} relative />. {t.until}{" "}
          <Time at={planned.until} /> (<Time at={planned.until} relative />
          ).
        </p>
      ) : null}
      {may ? (
        <div className="row">
          <Button kind="tertiary" size="sm" onClick={() => setDialog("announce")}>
            {t.announce}
          </Button>
          {planned ? (
            <Button kind="ghost" size="sm" onClick={() => setDialog("end")}>
              {t.end}
            </Button>
          ) : null}
        </div>
      ) : null}
      {dialog === "announce" ? <Announce agent={agent} close={close} /> : null}
      {dialog === "end" ? <End agent={agent} close={close} /> : null}
    </section>
  );
}

function Announce({ agent, close }: { agent: Agent; close: () => void }) {
  const t = texts.partition.outage;
  const [seconds, setSeconds] = useState(7_200);
  const done = useDone(t.done);
  const { id, name } = agent.summary;
  return (
    <Confirm
      title={t.announceTitle(name)}
      action={t.announce}
      reason
      close={close}
      run={async (reason) => {
        const params = { path: { agent: id } };
        await api.PUT("/api/v1/agents/{agent}/maintenance", {
          params,
          body: { for_seconds: seconds, reason },
        });
        await done();
      }}
    >
      <p>{t.help}</p>
      <Select
        id="outage-duration"
        labelText={t.duration}
        value={seconds}
        onChange={(event) => setSeconds(Number(event.target.value))}
      >
        {texts.common.durations.map(([value, text]) => (
          <SelectItem key={value} value={value} text={text} />
        ))}
      </Select>
    </Confirm>
  );
}

function End({ agent, close }: { agent: Agent; close: () => void }) {
  const t = texts.partition.outage;
  const done = useDone(t.ended);
  return (
    <Confirm
      title={t.endTitle}
      action={t.end}
      close={close}
      run={async () => {
        await api.DELETE("/api/v1/agents/{agent}/maintenance", {
          params: { path: { agent: agent.summary.id } },
        });
        await done();
      }}
    >
      <p>{t.endHelp}</p>
    </Confirm>
  );
}

/** Tells that it was done, and reads the partition anew. */
export function useDone(text: string): () => Promise<void> {
  const client = useQueryClient();
  const toasts = useToasts();
  return async () => {
    toasts.done(text);
    await client.invalidateQueries({ queryKey: ["agents"] });
  };
}
