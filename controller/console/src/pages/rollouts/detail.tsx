import { Breadcrumb, BreadcrumbItem, Button } from "@carbon/react";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { ApiError } from "@/api/problem";
import type { RolloutChange, RolloutView } from "@/api/schema";
import { Confirm } from "@/components/confirm";
import { NotFound } from "@/components/not-found";
import { OnlyFor } from "@/components/only-for";
import { Page } from "@/components/page";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { isOver, partitionsOf, useOrder, useRollout, useRolloutPartitions, whatOf, type Order } from "./data";
import { History } from "./history";
import { Partitions } from "./partitions";
import { Settings } from "./settings";
import { figures, ProgressBar, RolloutStanding, sumOf } from "./state";
import { Waves } from "./waves";

const t = texts.rollouts;

/** One rollout, live: where it stands and why, its waves, its partitions, what happened, how it was asked for. */
export function RolloutPage({ id }: { id: number }) {
  const query = useRollout(id);
  const [, navigate] = useLocation();
  if (query.error instanceof ApiError && query.error.status === 404 && !query.data) return <NotFound />;
  return (
    <Page
      title={t.one(id)}
      above={
        <Breadcrumb noTrailingSlash>
          <BreadcrumbItem
            href="/rollouts"
            onClick={(event) => {
              event.preventDefault();
              navigate("/rollouts");
            }}
          >
            {t.title}
          </BreadcrumbItem>
        </Breadcrumb>
      }
      lead={query.data ? <Lead view={query.data} /> : null}
      actions={
        query.data ? (
          <OnlyFor least="operator">
            <Actions view={query.data} />
          </OnlyFor>
        ) : null
      }
    >
      <Loaded query={query}>{(view) => <Content view={view} />}</Loaded>
    </Page>
  );
}

function Lead({ view }: { view: RolloutView }) {
  return (
    <>
      <What view={view} /> {view.description ? <>· {view.description} </> : null}·{" "}
      {t.startedBy(view.started_by)} <Time at={view.started_at} />
      {view.ended_at ? (
        <>
          , {t.ended} <Time at={view.ended_at} />
        </>
      ) : null}
    </>
  );
}

/** What it brings, each with the way to it. */
function What({ view }: { view: RolloutView }) {
  if (view.package) {
    const { name, version } = view.package;
    return (
      <Link className="cds--link" href={`/packages?version=${encodeURIComponent(version)}`}>
        {`${name}@${version}`}
      </Link>
    );
  }
  return view.changes.map((change, position) => (
    <span key={change.name}>
      {position ? ", " : ""}
      <Link className="cds--link" href={`/policies/${encodeURIComponent(change.name)}`}>
        {whatOf([change], null)}
      </Link>{" "}
      {from(change)}
    </span>
  ));
}

function from(change: RolloutChange): string {
  return change.from ? t.before(change.from) : t.isNew;
}

function Content({ view }: { view: RolloutView }) {
  const partitions = useRolloutPartitions(view);
  const counts = sumOf(view.waves);
  return (
    <>
      <section className="rollout-now" aria-label={t.now}>
        <div className="rollout-now-state">
          <RolloutStanding state={view.state} />
          <span className="muted">{figures(counts)}</span>
        </div>
        <ProgressBar counts={counts} label={t.columns.progress} />
        <Words view={view} />
      </section>
      <Waves view={view} partitions={partitions.data} />
      <Partitions view={view} query={partitions} />
      <History log={view.log} />
      <section aria-labelledby="rollout-settings">
        <h2 id="rollout-settings">{t.settings.title}</h2>
        <Settings strategy={view.strategy} labels={view.labels ?? {}} />
      </section>
    </>
  );
}

/** The planner's own words: why it stopped or went back, and what it waits for. */
function Words({ view }: { view: RolloutView }) {
  const { reason, waiting } = view;
  const told = reason && !waiting.some((line) => line.includes(reason)) ? [reason, ...waiting] : waiting;
  if (told.length) {
    return (
      <ul className="rollout-waiting">
        {told.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    );
  }
  return (
    <p className="muted">{isOver(view.state) ? t.over[view.state === "done" ? "done" : "back"] : t.goesOn}</p>
  );
}

const ORDERS: Record<RolloutView["state"], Order[]> = {
  running: ["pause", "abort"],
  paused: ["resume", "abort"],
  halted: ["resume", "abort"],
  rolling_back: [],
  done: [],
  rolled_back: [],
};

function Actions({ view }: { view: RolloutView }) {
  const order = useOrder(view.id);
  const [asked, setAsked] = useState<Order>();
  const orders = ORDERS[view.state];
  return (
    <>
      {orders.map((name) => (
        <Button
          key={name}
          size="md"
          kind={name === "abort" ? "danger--tertiary" : "tertiary"}
          disabled={order.isPending}
          onClick={() => setAsked(name)}
        >
          {t.order[name]}
        </Button>
      ))}
      {asked ? (
        <Confirm
          title={t.orderTitle[asked](view.id)}
          action={t.order[asked]}
          danger={asked === "abort"}
          reason
          run={(reason) => order.mutateAsync({ order: asked, reason })}
          close={() => setAsked(undefined)}
        >
          <p>{t.orderHelp(asked, partitionsOf(view.waves) - sumOf(view.waves).planned)}</p>
        </Confirm>
      ) : null}
    </>
  );
}
