import {
  CheckmarkFilled,
  CircleDash,
  InProgress,
  Undo,
  WarningFilled,
  type CarbonIconType,
} from "@carbon/icons-react";
import type { RolloutPartition, RolloutView, WaveView } from "@/api/schema";
import { Time } from "@/components/time";
import { useAddress } from "@/hooks/address";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import { isOver } from "./data";
import { gateWords } from "./settings";
import { ProgressBar, type Count } from "./state";

const t = texts.rollouts.waves;

type Standing = "done" | "here" | "next" | "back";
const SIGNS: Record<Standing, CarbonIconType> = {
  done: CheckmarkFilled,
  here: InProgress,
  next: CircleDash,
  back: Undo,
};
/** Figures of a wave that are always shown; the others only where there is something to tell. */
const ALWAYS: readonly Count[] = ["planned", "changing", "proving", "proven"];
const SELDOM: readonly Count[] = ["unwell", "failed", "back", "gone"];

/** Where a wave stands in its rollout. */
function standing(view: RolloutView, position: number): Standing {
  if (view.state === "done") return "done";
  if (view.state === "rolled_back" || view.state === "rolling_back") {
    return position <= view.wave ? "back" : "next";
  }
  if (position < view.wave) return "done";
  return position === view.wave ? "here" : "next";
}

/** The waves from the canaries to the last, each a button that chooses its partitions in the table below. */
export function Waves({
  view,
  partitions,
}: {
  view: RolloutView;
  partitions: RolloutPartition[] | undefined;
}) {
  const [params, set] = useAddress();
  const chosen = params.get("wave");
  const choose = (position: number) =>
    set({ wave: chosen === String(position) ? undefined : String(position) });
  return (
    <section aria-labelledby="rollout-waves">
      <h2 id="rollout-waves">{t.title}</h2>
      <ol className="rollout-waves">
        {view.waves.map((wave, position) => (
          <li key={wave.name}>
            <button
              type="button"
              className="rollout-wave"
              aria-pressed={chosen === String(position)}
              onClick={() => choose(position)}
            >
              <Wave wave={wave} standing={standing(view, position)} share={share(view, position)} />
              <SoakEnd view={view} position={position} partitions={partitions} />
            </button>
          </li>
        ))}
      </ol>
      <p className="muted rollout-note">{t.gate(gateWords(view.strategy))}</p>
    </section>
  );
}

function share(view: RolloutView, position: number): number {
  const size = (waves: WaveView[]) => waves.reduce((sum, wave) => sum + wave.partitions, 0);
  return Math.round((100 * size(view.waves.slice(0, position + 1))) / Math.max(1, size(view.waves)));
}

function Wave(props: { wave: WaveView; standing: Standing; share: number }) {
  const { wave } = props;
  const bad = wave.failed + wave.unwell > 0 && props.standing !== "back";
  const Icon = bad ? WarningFilled : SIGNS[props.standing];
  const tone = bad ? "bad" : props.standing === "done" ? "good" : "calm";
  return (
    <>
      <span className="rollout-wave-head">
        <span className={`state tone-${tone}`}>
          <Icon aria-hidden="true" />
          <span className="rollout-strong">{wave.name}</span>
        </span>
        <span className="muted">{t.standing[props.standing]}</span>
      </span>
      <span className="muted">{t.size(count(wave.partitions), props.share)}</span>
      <ProgressBar counts={wave} label={wave.name} />
      <span className="rollout-counts">
        {[...ALWAYS, ...SELDOM.filter((name) => wave[name] > 0)].map((name) => (
          <span key={name}>
            <span className={`dot part-${name}`} aria-hidden="true" />
            <span className="rollout-figure">{count(wave[name])}</span> {texts.rollouts.counts[name]}
          </span>
        ))}
      </span>
    </>
  );
}

/** When the last of a wave's partitions was watched for long enough, as far as it is known now. */
function SoakEnd(props: { view: RolloutView; position: number; partitions: RolloutPartition[] | undefined }) {
  const { view, position, partitions } = props;
  if (isOver(view.state) || !view.waves[position]?.proving) return null;
  const soak = view.strategy.soak_seconds * 1_000;
  const ends = (partitions ?? [])
    .filter(({ wave, state, since }) => wave === position && state === "proving" && since)
    .map(({ since }) => Date.parse(since ?? "") + soak);
  if (!ends.length) return null;
  return (
    <span className="muted">
      {t.soakEnds} <Time at={new Date(Math.max(...ends)).toISOString()} />
    </span>
  );
}
