import { LabelSelects } from "@/components/label-selects";
import { Loaded } from "@/components/states";
import { labelWords, readLabels, useLabelCounts } from "@/hooks/labels";
import { texts } from "@/texts";

/** More partitions are selected than can be looked into at a time: says so, and asks for labels that some of them have. */
export function Narrow(props: {
  /** The controller's words: how many are selected, and how many may be. */
  words: string;
  selector: string;
  choose: (selector: string) => void;
}) {
  const t = texts.live.tooMany;
  const labels = useLabelCounts();
  const chosen = readLabels(props.selector) ?? {};
  const choose = (key: string, value: string | undefined) => {
    const others = Object.fromEntries(Object.entries(chosen).filter(([name]) => name !== key));
    props.choose(labelWords(value ? { ...others, [key]: value } : others));
  };
  return (
    <section className="empty" aria-labelledby="event-too-many">
      <h2 id="event-too-many">{t.title}</h2>
      <p>
        {t.help} <span className="muted">{props.words}.</span>
      </p>
      <Loaded query={labels}>
        {(known) =>
          Object.keys(known).length ? (
            <div className="event-labels">
              <LabelSelects id="event-label" labels={known} valueOf={(key) => chosen[key]} choose={choose} />
            </div>
          ) : (
            <p>{t.noLabels}</p>
          )
        }
      </Loaded>
    </section>
  );
}
