import { Button, Checkbox, ProgressBar } from "@carbon/react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { Confirm } from "@/components/confirm";
import { OnlyFor } from "@/components/only-for";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";

type Ca = components["schemas"]["CaView"];
type One = components["schemas"]["AuthorityView"];

/** The certification authority, and how far its roll-over has got. */
export function AuthorityTab() {
  const t = texts.tokens;
  // Agents that follow are told by events of agents, which make enrolments old.
  const query = useQuery({
    queryKey: ["enrolments", "authority"],
    queryFn: () => body(api.GET("/api/v1/ca")),
  });
  return (
    <Loaded query={query}>
      {(ca) => (
        <>
          <section className="panel">
            <h2>{t.authority}</h2>
            <Facts one={ca.issuing} />
          </section>
          {ca.previous ? (
            <section className="panel">
              <h2>{t.authorityPrevious}</h2>
              <Facts one={ca.previous} />
            </section>
          ) : null}
          <section className="panel">
            <h2>{t.rollOver}</h2>
            <RollOver ca={ca} />
          </section>
        </>
      )}
    </Loaded>
  );
}

function Facts({ one }: { one: One }) {
  const t = texts.tokens;
  return (
    <dl className="facts">
      <div>
        <dt>{t.authorityName}</dt>
        <dd>{one.name}</dd>
      </div>
      <div>
        <dt>{t.authorityExpires}</dt>
        <dd>
          <Time at={one.expires_at} /> (<Time at={one.expires_at} relative />)
        </dd>
      </div>
      <div>
        <dt>{t.authorityKey}</dt>
        <dd className="mono">{one.key_sha256}</dd>
      </div>
      <div>
        <dt>{t.authorityCertificate}</dt>
        <dd className="mono">{one.certificate_sha256}</dd>
      </div>
    </dl>
  );
}

function RollOver({ ca }: { ca: Ca }) {
  const t = texts.tokens;
  const [asking, setAsking] = useState(false);
  const under = Boolean(ca.previous);
  const names = ca.remaining_names ?? [];
  return (
    <div className="stack">
      {under ? (
        <>
          <p>
            {t.rollOverSince} <Time at={ca.since} /> (<Time at={ca.since} relative />)
          </p>
          <ProgressBar
            className="narrow"
            label={t.rollOverDone(ca.agents - ca.remaining, ca.agents)}
            value={ca.agents - ca.remaining}
            max={Math.max(1, ca.agents)}
          />
          <p>{ca.remaining ? t.rollOverLeft(names, ca.remaining - names.length) : t.rollOverAll}</p>
        </>
      ) : (
        <p>{t.rollOverNone(ca.agents)}</p>
      )}
      <div className="row">
        <OnlyFor least="admin" told>
          <Button kind={under ? "danger--tertiary" : "tertiary"} onClick={() => setAsking(true)}>
            {under ? t.finish : t.begin}
          </Button>
        </OnlyFor>
      </div>
      {asking && !under ? <Begin close={() => setAsking(false)} /> : null}
      {asking && under ? <Finish ca={ca} close={() => setAsking(false)} /> : null}
    </div>
  );
}

function useStep() {
  const client = useQueryClient();
  const toasts = useToasts();
  return async (done: string) => {
    toasts.done(done);
    await client.invalidateQueries({ queryKey: ["enrolments"] });
    await client.invalidateQueries({ queryKey: ["tokens"] });
  };
}

function Begin({ close }: { close: () => void }) {
  const t = texts.tokens;
  const after = useStep();
  const run = async (reason: string) => {
    await api.POST("/api/v1/ca/roll-over", { body: { reason } });
    await after(t.begun);
  };
  return (
    <Confirm title={t.beginTitle} action={t.begin} reason run={run} close={close}>
      <p>{t.beginHelp}</p>
    </Confirm>
  );
}

function Finish({ ca, close }: { ca: Ca; close: () => void }) {
  const t = texts.tokens;
  const after = useStep();
  const [force, setForce] = useState(false);
  const run = async () => {
    await api.POST("/api/v1/ca/roll-over/finish", { body: { issuing: ca.issuing.key_sha256, force } });
    await after(t.finished);
  };
  return (
    <Confirm title={t.finishTitle} action={t.finish} danger run={run} close={close}>
      <p>{t.finishHelp}</p>
      {ca.remaining ? (
        <Checkbox
          id="finish-force"
          labelText={t.finishForce(ca.remaining)}
          checked={force}
          onChange={(_, { checked }) => setForce(checked)}
        />
      ) : null}
    </Confirm>
  );
}
