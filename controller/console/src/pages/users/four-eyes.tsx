import { Button } from "@carbon/react";
import { CheckmarkFilled, CircleDash } from "@carbon/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { useSettings } from "@/api/proposals";
import { OnlyFor } from "@/components/only-for";
import { Loaded } from "@/components/states";
import { useToasts } from "@/components/toasts";
import { FormModal } from "@/pages/admin/form-modal";
import { texts } from "@/texts";
import { Proposals } from "./proposals";

/** Whether a second person is needed, and what waits for one. */
export function FourEyesTab() {
  const t = texts.users;
  const query = useSettings();
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Loaded query={query}>
        {({ data: { four_eyes: on = false }, etag }) => {
          const Icon = on ? CheckmarkFilled : CircleDash;
          return (
            <section className="panel">
              <h2>{t.fourEyes}</h2>
              <div className="stack">
                <p>{t.fourEyesHelp}</p>
                <span className={`state tone-${on ? "good" : "calm"}`}>
                  <Icon aria-hidden="true" />
                  {on ? t.fourEyesOn : t.fourEyesOff}
                </span>
                <div className="row">
                  <OnlyFor least="admin" told>
                    <Button kind="tertiary" size="md" onClick={() => setAsking(true)}>
                      {on ? t.switchOff : t.switchOn}
                    </Button>
                  </OnlyFor>
                </div>
              </div>
              {asking ? (
                <Switch
                  to={!on}
                  etag={etag}
                  reload={() => void query.refetch()}
                  close={() => setAsking(false)}
                />
              ) : null}
            </section>
          );
        }}
      </Loaded>
      <h2>{t.proposals}</h2>
      <Proposals />
    </>
  );
}

function Switch(props: { to: boolean; etag: string | undefined; reload: () => void; close: () => void }) {
  const t = texts.users;
  const client = useQueryClient();
  const toasts = useToasts();
  // What was asked stays what is done, though the settings change underneath.
  const [{ to, etag }] = useState(props);
  const run = async () => {
    const changed = await body(
      api.PATCH("/api/v1/settings", {
        body: { four_eyes: to },
        headers: etag ? { "If-Match": etag } : {},
      }),
    );
    if (changed.proposal) toasts.done(t.proposed, changed.proposal.summary);
    else toasts.done(changed.settings.four_eyes ? t.switchedOn : t.switchedOff);
    await client.invalidateQueries({ queryKey: ["proposals"] });
  };
  return (
    <FormModal
      title={to ? t.switchOnTitle : t.switchOffTitle}
      action={to ? t.switchOn : t.switchOff}
      danger={!to}
      valid
      run={run}
      reload={() => {
        props.reload();
        props.close();
      }}
      close={props.close}
    >
      <p>{to ? t.fourEyesHelp : t.switchOffHelp}</p>
    </FormModal>
  );
}
