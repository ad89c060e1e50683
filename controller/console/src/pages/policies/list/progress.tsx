import { CheckmarkFilled, CircleDash, Renew, UnknownFilled } from "@carbon/icons-react";
import { Link } from "wouter";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import { useProgress } from "../data";

const t = texts.policies.list;

/** How many partitions run a policy, wait for it, are changing over or refused it. */
export function Progress({ name }: { name: string }) {
  const { data, error } = useProgress(name, true);
  if (!data) return <span className="muted">{error ? texts.common.unknown : "…"}</span>;
  const parts = [
    { key: "applied", number: data.applied, icon: CheckmarkFilled, tone: "good" },
    { key: "applying", number: data.applying, icon: Renew, tone: "calm" },
    { key: "waiting", number: data.waiting, icon: CircleDash, tone: "calm" },
    { key: "failed", number: data.failed, icon: UnknownFilled, tone: "bad" },
  ] as const;
  const some = parts.filter(({ number }) => number > 0);
  if (some.length === 0) return <span className="muted">{t.nobody}</span>;
  return (
    <span className="policy-progress">
      {some.map(({ key, number, icon: Icon, tone }) => (
        <Link
          key={key}
          href={`/policies/${name}/status?state=${key}`}
          className={`state tone-${tone} cds--link`}
        >
          <Icon aria-hidden="true" />
          {texts.policies.progress[key](count(number))}
        </Link>
      ))}
    </span>
  );
}
