import { Button, ProgressIndicator, ProgressStep } from "@carbon/react";
import { useState } from "react";
import { useLocation } from "wouter";
import { OnlyFor } from "@/components/only-for";
import { useToasts } from "@/components/toasts";
import { useMakeToken } from "@/pages/tokens/make-token";
import { useArrivals, type TokenCreated, type TokenView } from "@/pages/tokens/queries";
import { texts } from "@/texts";

/** Leads from the new password to the first partition, above the page of enrolment. */
export function FirstSteps(props: {
  created: TokenCreated | undefined;
  make: (created: TokenCreated) => void;
}) {
  // What was made stays known when its commands are put away.
  const [token, setToken] = useState<TokenView>();
  if (props.created && props.created.view !== token) setToken(props.created.view);
  return token ? <Following token={token} /> : <Steps at={1} make={props.make} />;
}

function Following({ token }: { token: TokenView }) {
  const arrived = (useArrivals(token).data ?? []).length > 0;
  return <Steps at={arrived ? 3 : 2} />;
}

function Steps({ at, make }: { at: 1 | 2 | 3; make?: (created: TokenCreated) => void }) {
  const t = texts.firstRun;
  const [, navigate] = useLocation();
  const help = at === 1 ? t.enrolHelp : at === 2 ? t.waitHelp : t.arrivedHelp;
  return (
    <section className="panel" aria-labelledby="first-title">
      <h2 id="first-title">{t.stepsTitle}</h2>
      <div className="stack">
        <ProgressIndicator currentIndex={at} spaceEqually className="narrow">
          <ProgressStep label={t.steps.password} complete />
          <ProgressStep label={t.steps.enrol} complete={at > 1} current={at === 1} />
          <ProgressStep label={t.steps.arrive} complete={at > 2} current={at === 2} />
        </ProgressIndicator>
        <p role="status">{help}</p>
        <div className="row">
          {make ? (
            <OnlyFor least="operator">
              <Enrol make={make} />
            </OnlyFor>
          ) : null}
          {at === 3 ? <Button onClick={() => navigate("/policies")}>{t.toPolicies}</Button> : null}
          <Button kind={at === 3 ? "tertiary" : "ghost"} onClick={() => navigate("/fleet")}>
            {at === 3 ? t.toFleet : t.skip}
          </Button>
        </div>
      </div>
    </section>
  );
}

/** Makes a token as it is made most often: one agent, one day. */
function Enrol({ make }: { make: (created: TokenCreated) => void }) {
  const toasts = useToasts();
  const makeToken = useMakeToken();
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      make(await makeToken({}));
    } catch (error) {
      toasts.failed(error);
      setBusy(false);
    }
  };
  return (
    <Button disabled={busy} onClick={() => void run()}>
      {texts.firstRun.enrol}
    </Button>
  );
}
