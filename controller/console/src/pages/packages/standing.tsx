import { CheckmarkFilled, ErrorFilled, Undo } from "@carbon/icons-react";
import type { PackageView } from "@/api/schema";
import { texts } from "@/texts";

/** What became of a package, by icon and word. */
export function PackageStanding({ one }: { one: PackageView }) {
  const word = !one.present ? "lost" : one.retired ? "retired" : "offered";
  const Icon = { lost: ErrorFilled, retired: Undo, offered: CheckmarkFilled }[word];
  const tone = { lost: "bad", retired: "calm", offered: "good" }[word];
  return (
    <span className={`state tone-${tone}`}>
      <Icon aria-hidden="true" />
      {texts.packages.state[word]}
    </span>
  );
}
