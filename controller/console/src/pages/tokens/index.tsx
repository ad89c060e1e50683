import { Button } from "@carbon/react";
import { Add, Pending } from "@carbon/icons-react";
import { useState } from "react";
import { OnlyFor } from "@/components/only-for";
import { Page } from "@/components/page";
import { useAddress } from "@/hooks/address";
import { UrlTabs } from "@/pages/admin/url-tabs";
import { FirstSteps } from "@/pages/first-run/first-steps";
import { texts } from "@/texts";
import { AuthorityTab } from "./authority";
import { ForeignTab } from "./foreign";
import { MakeToken } from "./make-token";
import { useEnrolments, type TokenCreated } from "./queries";
import { Ready } from "./ready";
import { TokensTab } from "./tokens-tab";
import { WaitingTab } from "./waiting";
import "./tokens.scss";
import "@/pages/admin/admin.scss";

/** Who may join: tokens, approvals, tokens of other agents, and the authority behind the certificates. */
export default function Index() {
  const t = texts.tokens;
  const [params] = useAddress();
  const first = params.has("first");
  const [making, setMaking] = useState(false);
  // The token's text is nowhere but here; it goes when the page does.
  const [created, setCreated] = useState<TokenCreated>();
  const waiting = useEnrolments().data?.filter((one) => one.state === "waiting").length ?? 0;
  const make = () => setMaking(true);
  return (
    <Page
      title={t.title}
      lead={t.lead}
      actions={
        // The first steps offer the same, and lead on.
        first ? null : (
          <OnlyFor least="operator">
            <Button renderIcon={Add} onClick={make}>
              {t.make}
            </Button>
          </OnlyFor>
        )
      }
    >
      {first ? <FirstSteps created={created} make={setCreated} /> : null}
      {waiting > 0 && params.get("tab") !== "waiting" ? <WaitingNotice count={waiting} /> : null}
      {created ? <Ready created={created} close={() => setCreated(undefined)} /> : null}
      <UrlTabs
        label={t.sections}
        tabs={[
          { id: "tokens", name: t.tabs.tokens, show: () => <TokensTab make={first ? undefined : make} /> },
          { id: "waiting", name: t.tabs.waiting(waiting), show: () => <WaitingTab /> },
          { id: "foreign", name: t.tabs.foreign, show: () => <ForeignTab /> },
          { id: "authority", name: t.tabs.authority, show: () => <AuthorityTab /> },
        ]}
      />
      {making ? <MakeToken made={setCreated} close={() => setMaking(false)} /> : null}
    </Page>
  );
}

/** Somebody waits: that must be seen whatever tab is open. */
function WaitingNotice({ count }: { count: number }) {
  const t = texts.tokens;
  const [, set] = useAddress();
  // Carbon's notification with a button keeps the focus to itself, which is not for something that comes by itself.
  return (
    <div className="panel notice" role="status">
      <span className="state tone-warn">
        <Pending aria-hidden="true" />
        {t.waitingNotice(count)}
      </span>
      <Button kind="tertiary" size="sm" onClick={() => set({ tab: "waiting" })}>
        {t.waitingShow}
      </Button>
    </div>
  );
}
