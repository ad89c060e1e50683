import { Tag, TextInput } from "@carbon/react";
import { texts } from "@/texts";

/** Labels as the controller has them. */
export type Labels = Record<string, string>;

/** What a key or a value may be: as a policy's selector can name it. */
const PART = /^[A-Za-z0-9\-_./]{1,63}$/;

/** Reads `env=prod, site=zurich`; absent where something is no label. */
export function parseLabels(text: string): Labels | undefined {
  const labels: Labels = {};
  for (const part of text.split(/[\s,;]+/).filter(Boolean)) {
    const [key = "", value = "", ...rest] = part.split("=");
    if (rest.length || !PART.test(key) || !PART.test(value)) return undefined;
    labels[key] = value;
  }
  return labels;
}

/** Asks for labels. */
export function LabelsInput(props: {
  id: string;
  help: string;
  value: string;
  change: (value: string) => void;
}) {
  const t = texts.tokens;
  return (
    <TextInput
      id={props.id}
      labelText={t.labels}
      helperText={props.help}
      placeholder={t.labelsExample}
      autoComplete="off"
      spellCheck={false}
      value={props.value}
      invalid={parseLabels(props.value) === undefined}
      invalidText={t.labelsInvalid}
      onChange={(event) => props.change(event.target.value)}
    />
  );
}

/** Labels as they are shown. */
export function LabelTags({ labels }: { labels: Labels | undefined }) {
  const all = Object.entries(labels ?? {});
  if (all.length === 0) return <span className="muted">{texts.common.none}</span>;
  return (
    <>
      {all.map(([key, value]) => (
        <Tag key={key} size="sm" type="gray">
          {`${key}=${value}`}
        </Tag>
      ))}
    </>
  );
}
