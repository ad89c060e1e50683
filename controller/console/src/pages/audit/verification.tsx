import { Button, InlineLoading, InlineNotification } from "@carbon/react";
import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { ErrorState } from "@/components/states";
import { Time } from "@/components/time";
import { CopyBlock } from "@/pages/admin/copy-block";
import { texts } from "@/texts";

type Verified = components["schemas"]["AuditVerification"];

/** Checks an export where the command line is. */
const OFFLINE = "muster audit-log verify muster-audit.jsonl";

/** Has the controller check the whole chain, tells the result in words, and how to do it without the controller. */
export function Verification({ close }: { close: () => void }) {
  const t = texts.audit;
  // The whole log is read for it: only who asks has it done.
  const query = useQuery({
    queryKey: ["audit-verification"],
    queryFn: () => body(api.GET("/api/v1/audit/verify")),
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  return (
    <section className="panel stack" aria-labelledby="verification-title">
      <div className="audit-entry-head">
        <h2 id="verification-title">{t.verification}</h2>
        <Button size="sm" kind="ghost" onClick={close}>
          {texts.common.close}
        </Button>
      </div>
      <div role="status">
        {query.isFetching ? (
          <InlineLoading description={t.verifying} />
        ) : query.error ? (
          <ErrorState error={query.error} retry={() => void query.refetch()} />
        ) : query.data ? (
          <Result verified={query.data} />
        ) : null}
      </div>
      {query.data?.head_hash ? (
        <>
          <CopyBlock label={t.head} text={query.data.head_hash} />
          <p>{t.headHelp}</p>
        </>
      ) : null}
      <h3>{t.offline}</h3>
      <p>{t.offlineHelp}</p>
      <CopyBlock label={t.offline} text={OFFLINE} />
    </section>
  );
}

function Result({ verified }: { verified: Verified }) {
  const t = texts.audit;
  const { ok, entries, from, to, first_bad: bad, reason, at } = verified;
  const words = ok
    ? entries
      ? t.whole(entries, from, to)
      : t.wholeEmpty
    : `${bad ? t.broken(bad) : t.brokenSomewhere} ${reason ?? ""}`;
  return (
    <>
      <InlineNotification
        kind={ok ? "success" : "error"}
        lowContrast
        hideCloseButton
        title={ok ? t.wholeTitle : t.brokenTitle}
        subtitle={words}
      />
      <p className="sub">
        <Time at={at} />
      </p>
    </>
  );
}
