import { Button } from "@carbon/react";
import { Close } from "@carbon/icons-react";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import type { PackageView } from "@/api/schema";
import { Confirm } from "@/components/confirm";
import { CopyButton } from "@/components/copy";
import { OnlyFor } from "@/components/only-for";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { bytes, count } from "@/hooks/format";
import { RolloutStanding } from "@/pages/rollouts/state";
import { texts } from "@/texts";
import { isOffered, titleOf, useRetire, useRolloutsOf, useRunning } from "./data";
import { PackageStanding } from "./standing";

const t = texts.packages.details;

/** Everything about one package, beside the list. */
export function Details({ one, close }: { one: PackageView; close: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <aside className="package-details" aria-labelledby="package-title">
      <div className="package-head">
        <h2 id="package-title" ref={heading} tabIndex={-1}>
          {titleOf(one)}
        </h2>
        <Button
          kind="ghost"
          size="sm"
          hasIconOnly
          renderIcon={Close}
          iconDescription={texts.common.close}
          tooltipPosition="left"
          onClick={close}
        />
      </div>
      <Actions one={one} />
      <dl className="package-facts">
        <Fact name={texts.packages.columns.state}>
          <PackageStanding one={one} />
        </Fact>
        {one.retired ? (
          <Fact name={t.retired}>
            <Time at={one.retired.since} /> {t.byWhom(one.retired.by, one.retired.reason)}
          </Fact>
        ) : null}
        <Fact name={texts.packages.columns.platform}>{one.platform}</Fact>
        <Fact name={t.from}>{one.upgrade_from}</Fact>
        <Fact name={t.floor}>{t.floorWords(one.floor)}</Fact>
        <Fact name={texts.packages.columns.size}>{t.size(bytes(one.size), one.size.toLocaleString())}</Fact>
        <Fact name={t.digest}>
          <span className="package-digest">
            <code>{one.sha256}</code>
            <CopyButton label={t.copyDigest} align="left" text={one.sha256} />
          </span>
        </Fact>
        <Fact name={t.notes}>{one.notes || texts.common.none}</Fact>
        <Fact name={t.uploaded}>
          <Time at={one.uploaded_at} /> {t.uploadedBy(one.uploaded_by)}
        </Fact>
        <Fact name={t.running}>
          <Running version={one.version} />
        </Fact>
      </dl>
      {one.present ? null : <p>{t.lost}</p>}
      <Rollouts one={one} />
    </aside>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Running({ version }: { version: string }) {
  const query = useRunning(version);
  return <Loaded query={query}>{(agents) => <>{count(agents)}</>}</Loaded>;
}

function Rollouts({ one }: { one: PackageView }) {
  const query = useRolloutsOf(one);
  return (
    <>
      <h3>{t.rollouts}</h3>
      <Loaded query={query}>
        {(rollouts) =>
          rollouts.length ? (
            <ul className="package-rollouts">
              {rollouts.map(({ id, state, started_at }) => (
                <li key={id}>
                  <Link className="cds--link" href={`/rollouts/${String(id)}`}>
                    {texts.rollouts.one(id)}
                  </Link>
                  <RolloutStanding state={state} />
                  <Time at={started_at} relative />
                </li>
              ))}
            </ul>
          ) : (
            <p className="muted">{t.noRollouts}</p>
          )
        }
      </Loaded>
    </>
  );
}

function Actions({ one }: { one: PackageView }) {
  const retire = useRetire(one);
  const [, navigate] = useLocation();
  const [asking, setAsking] = useState(false);
  const why = isOffered(one) ? undefined : t.notOffered;
  return (
    <div className="row">
      <OnlyFor least="operator">
        <Button
          size="sm"
          disabled={Boolean(why)}
          title={why}
          onClick={() => navigate(`/rollouts/new?package=${encodeURIComponent(titleOf(one))}`)}
        >
          {t.rollOut}
        </Button>
      </OnlyFor>
      {one.retired ? null : (
        <OnlyFor least="admin">
          <Button size="sm" kind="danger--ghost" disabled={retire.isPending} onClick={() => setAsking(true)}>
            {t.retire}
          </Button>
        </OnlyFor>
      )}
      {asking ? (
        <Confirm
          title={t.retireTitle(titleOf(one), one.platform)}
          action={t.retire}
          danger
          reason
          run={(reason) => retire.mutateAsync(reason)}
          close={() => setAsking(false)}
        >
          <p>{t.retireHelp}</p>
        </Confirm>
      ) : null}
    </div>
  );
}
