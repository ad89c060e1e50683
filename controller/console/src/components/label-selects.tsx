import { Select, SelectItem } from "@carbon/react";
import { useState } from "react";
import { count } from "@/hooks/format";
import type { LabelCounts } from "@/hooks/labels";
import { texts } from "@/texts";

/** Chooses a label in two steps: there may be many keys, and many values of each. */
export function LabelSelects(props: {
  id: string;
  labels: LabelCounts | undefined;
  /** The value that is chosen of a key. */
  valueOf: (key: string) => string | undefined;
  /** Another value of a key was chosen, or none of it. */
  choose: (key: string, value: string | undefined) => void;
}) {
  const t = texts.fleet.filter;
  const [key, setKey] = useState("");
  const now = key ? props.valueOf(key) : undefined;
  const values = Object.entries(props.labels?.[key] ?? {}).sort(([a], [b]) =>
    a.localeCompare(b, undefined, { numeric: true }),
  );
  return (
    <>
      <Select
        size="sm"
        id={`${props.id}-key`}
        labelText={t.labelKey}
        value={key}
        onChange={(event) => setKey(event.target.value)}
      >
        <SelectItem value="" text={t.pickKey} />
        {Object.keys(props.labels ?? {}).map((name) => (
          <SelectItem key={name} value={name} text={name} />
        ))}
      </Select>
      <Select
        size="sm"
        id={`${props.id}-value`}
        labelText={t.labelValue}
        disabled={!key}
        value={now ?? ""}
        onChange={(event) => props.choose(key, event.target.value || undefined)}
      >
        <SelectItem value="" text={now === undefined ? t.pickValue : t.any} />
        {values.map(([value, partitions]) => (
          <SelectItem key={value} value={value} text={t.counted(value, count(partitions))} />
        ))}
      </Select>
    </>
  );
}
