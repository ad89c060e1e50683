import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { CopyButton } from "@/components/copy";
import { Loaded, LoadingState } from "@/components/states";
import { texts } from "@/texts";
import { currentQuery } from "./data";

const CodeView = lazy(() => import("./code/code-view"));
const t = texts.policies.one;

/** The text that is in force, exactly as it was published. */
export function TextTab({ name }: { name: string }) {
  const current = useQuery(currentQuery(name));
  return (
    <Loaded query={current}>
      {({ data }) => (
        <>
          <div className="policy-copy">
            <span className="muted">{data.signature ? t.signed : t.unsigned}</span>
            <CopyButton label={texts.common.copy} text={data.text} />
          </div>
          <Suspense fallback={<LoadingState />}>
            <CodeView text={data.text} label={t.textOf(name, Number(data.revision.revision))} />
          </Suspense>
        </>
      )}
    </Loaded>
  );
}
