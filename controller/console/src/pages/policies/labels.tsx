import { Tag } from "@carbon/react";
import { texts } from "@/texts";

/** Labels that a partition must have. */
export function Labels({ of }: { of: Record<string, string> }) {
  const all = Object.entries(of);
  if (all.length === 0) return <span>{texts.policies.everybody}</span>;
  return (
    <span className="row">
      {all.map(([key, value]) => (
        <Tag key={key} size="sm" type="outline">
          {`${key}=${value}`}
        </Tag>
      ))}
    </span>
  );
}
