import { InlineNotification, ProgressBar } from "@carbon/react";
import {
  CheckmarkFilled,
  ErrorFilled,
  Hourglass,
  WarningFilled,
  type CarbonIconType,
} from "@carbon/icons-react";
import type { ReactNode } from "react";
import type { components } from "@/api/schema";
import { Time } from "@/components/time";
import { texts } from "@/texts";

export type LicenceView = components["schemas"]["LicenceView"];

const STANDING: Record<
  LicenceView["standing"],
  { icon: CarbonIconType; tone: string; kind: "info" | "success" | "warning" | "error" }
> = {
  evaluation: { icon: Hourglass, tone: "calm", kind: "info" },
  licensed: { icon: CheckmarkFilled, tone: "good", kind: "success" },
  grace: { icon: WarningFilled, tone: "warn", kind: "warning" },
  restricted: { icon: ErrorFilled, tone: "bad", kind: "error" },
};

/** The licence in figures, and in the controller's words. */
export function Standing({ view }: { view: LicenceView }) {
  const t = texts.licence;
  const { icon: Icon, tone, kind } = STANDING[view.standing];
  // What is said anyhow is not warned of a second time.
  const warnings = view.warnings.filter((warning) => warning !== view.says);
  return (
    <>
      <div className="tiles licence-tiles">
        <Figure label={t.figures.standing}>
          <span className={`state tone-${tone}`}>
            <Icon aria-hidden="true" size={20} />
            {t.standing[view.standing]}
          </span>
        </Figure>
        <Figure label={t.figures.customer} note={view.id ? t.number(view.id) : undefined}>
          {view.customer || t.noCustomer}
        </Figure>
        <Seats view={view} />
        {view.valid_until ? (
          <Figure label={t.figures.valid} note={t.validHelp}>
            {t.valid(view.valid_from ?? "", view.valid_until)}
          </Figure>
        ) : null}
        <Figure label={t.figures.next} note={view.next ? <Time at={view.next} /> : undefined}>
          {view.next ? <Time at={view.next} relative /> : t.nothingNext}
        </Figure>
      </div>
      <div className="notices">
        <InlineNotification kind={kind} lowContrast hideCloseButton title={t.now} subtitle={view.says} />
        {warnings.map((warning) => (
          <InlineNotification
            key={warning}
            kind="warning"
            lowContrast
            hideCloseButton
            title={t.care}
            subtitle={warning}
          />
        ))}
      </div>
      <dl className="facts panel licence-facts">
        <div>
          <dt>{t.refused}</dt>
          <dd>{view.refused?.length ? view.refused.join(", ") : texts.common.none}</dd>
        </div>
        <div>
          <dt>{t.never}</dt>
          <dd>{t.neverHelp}</dd>
        </div>
      </dl>
    </>
  );
}

function Figure(props: { label: string; note?: ReactNode; children: ReactNode }) {
  return (
    <div className="figure">
      <div className="label">{props.label}</div>
      <div className="licence-value">{props.children}</div>
      {props.note ? <div className="note">{props.note}</div> : null}
    </div>
  );
}

function Seats({ view }: { view: LicenceView }) {
  const t = texts.licence;
  const { used, seats } = view;
  if (seats === null || seats === undefined) {
    return (
      <Figure label={t.figures.seats} note={t.seatsUnlimited}>
        {t.seatsFree(used)}
      </Figure>
    );
  }
  const left = seats - used;
  return (
    <div className="figure">
      <div className="label">{t.figures.seats}</div>
      <div className="licence-value">{t.seats(used, seats)}</div>
      <ProgressBar
        className="seat-bar"
        size="small"
        hideLabel
        label={t.figures.seats}
        value={Math.min(used, seats)}
        max={Math.max(1, seats)}
        status={left < 0 ? "error" : "active"}
      />
      <div className="note">{left < 0 ? t.seatsOver(-left) : t.seatsLeft(left)}</div>
    </div>
  );
}
