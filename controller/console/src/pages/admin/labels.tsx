import { Tag, TextInput } from "@carbon/react";
import { readLabels, type Labels } from "@/hooks/labels";
import { texts } from "@/texts";

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
      invalid={readLabels(props.value) === undefined}
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
