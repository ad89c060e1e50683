import { Button } from "@carbon/react";
import { useState } from "react";
import { api } from "@/api/client";
import { useMay } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { useDone } from "./outage";
import type { Agent } from "./queries";

/** Whether the version is pinned, and by whom; operators pin and unpin it. */
export function Pin({ agent }: { agent: Agent }) {
  const t = texts.partition.pin;
  const may = useMay("operator");
  const [asked, setAsked] = useState(false);
  const { pin } = agent.summary;
  return (
    <>
      <h3>{t.title}</h3>
      {pin ? (
        <>
          <p>
            {t.pinned(pin.version ?? "", pin.by)}, <Time at={pin.since} relative />
          </p>
          {pin.reason ? <p className="reason">{pin.reason}</p> : null}
        </>
      ) : (
        <p>{t.none}</p>
      )}
      {may ? (
        <Button kind="tertiary" size="sm" className="below" onClick={() => setAsked(true)}>
          {pin ? t.unpin : t.pin}
        </Button>
      ) : null}
      {asked ? <Ask agent={agent} close={() => setAsked(false)} /> : null}
    </>
  );
}

function Ask({ agent, close }: { agent: Agent; close: () => void }) {
  const t = texts.partition.pin;
  const { id, version, pin } = agent.summary;
  const done = useDone(pin ? t.undone : t.done);
  const params = { path: { agent: id } };
  const run = async (reason: string) => {
    if (pin) await api.DELETE("/api/v1/agents/{agent}/pin", { params });
    else {
      const body = { reason, ...(version ? { version } : {}) };
      await api.PUT("/api/v1/agents/{agent}/pin", { params, body });
    }
    await done();
  };
  return (
    <Confirm
      title={pin ? t.unpinTitle : t.pinTitle(version ?? "")}
      action={pin ? t.unpin : t.pin}
      reason={!pin}
      close={close}
      run={run}
    >
      <p>{pin ? t.unpinHelp : t.pinHelp}</p>
    </Confirm>
  );
}
