import type { EditorView } from "@codemirror/view";
import { ContentSwitcher, Switch } from "@carbon/react";
import { lazy, Suspense, useRef, useState } from "react";
import { useSearchParams } from "wouter";
import { useSession } from "@/api/session";
import { ErrorState, LoadingState } from "@/components/states";
import { texts } from "@/texts";
import CodeEditor from "../code/code-editor";
import { goTo, type Fault } from "../code/faults";
import { usePolicies, useSchema, type Check } from "../data";
import { Bar } from "./bar";
import { Conflict } from "./conflict";
import { DraftEffects } from "./draft-effects";
import { FaultList } from "./fault-list";
import type { Beginning, Keeper, Standing } from "./keeper";
import { Outdated } from "./outdated";
import { useCheck } from "./use-check";
import { useKeeper } from "./use-keeper";

const Published = lazy(() => import("./published"));
const t = texts.policies.editor;
const VIEWS = ["write", "compare", "effects"] as const;
type ViewName = (typeof VIEWS)[number];

/** What is shown of the draft, from the address. */
function useView() {
  const [params, setParams] = useSearchParams();
  const view = VIEWS.find((each) => each === params.get("view")) ?? "write";
  return { view, show: (next: ViewName) => setParams(next === "write" ? {} : { view: next }) };
}

/** The editor with everything around it: saving, checking, comparing, effects, publishing. */
export function Editor({ name, start }: { name: string; start: Beginning }) {
  const { keeper, standing } = useKeeper(name, start);
  const [text, setText] = useState(() => keeper.text);
  const { found, error, fresh } = useCheck(text);
  const policies = usePolicies();
  const { view, show } = useView();
  const { expired } = useSession();
  const codeRef = useRef<EditorView>(null);
  const policy = standing.draft?.policy || found?.name || name;
  const published = policies.data?.find((each) => each.name === policy && !each.removed);
  const replace = (next: string) => {
    const { current } = codeRef;
    current?.dispatch({ changes: { from: 0, to: current.state.doc.length, insert: next } });
    setText(next);
  };
  const jump = (fault: Fault) => {
    show("write");
    // The text is hidden until the view is another one.
    requestAnimationFrame(() => codeRef.current && goTo(codeRef.current, fault));
  };
  return (
    <div className="stack policy-editor">
      <Bar
        name={name}
        text={text}
        keeper={keeper}
        standing={standing}
        found={fresh ? found : undefined}
        published={published}
      />
      <Conflict keeper={keeper} standing={standing} text={text} replace={replace} />
      <Outdated keeper={keeper} standing={standing} published={published} compare={() => show("compare")} />
      <Views view={view} show={show} published={published !== undefined} />
      <div hidden={view !== "write"}>
        <Write {...{ name, keeper, codeRef, found, setText }} />
        {error && !expired ? <ErrorState error={error} /> : null}
        <FaultList found={found} fresh={fresh} jump={jump} />
      </div>
      {view === "compare" && published ? (
        <Suspense fallback={<LoadingState />}>
          <Published policy={published} text={text} changes={found?.changes ?? []} />
        </Suspense>
      ) : null}
      {view === "effects" ? <DraftEffects text={text} /> : null}
    </div>
  );
}

interface WriteProps {
  name: string;
  keeper: Keeper;
  codeRef: { current: EditorView | null };
  found: Check | undefined;
  setText: (text: string) => void;
}

const NONE: Fault[] = [];

function Write({ name, keeper, codeRef, found, setText }: WriteProps) {
  const schema = useSchema();
  return (
    <>
      <CodeEditor
        initial={keeper.text}
        label={t.label(name)}
        schema={schema.data}
        faults={found?.faults ?? NONE}
        warnings={found?.warnings ?? NONE}
        onChange={(next) => {
          if (next === keeper.text) return;
          setText(next);
          keeper.change(next);
        }}
        onSave={() => void keeper.save()}
        onView={(view) => {
          codeRef.current = view;
        }}
      />
      <p className="muted policy-keys">{t.keys}</p>
    </>
  );
}

interface ViewsProps {
  view: ViewName;
  show: (view: ViewName) => void;
  published: boolean;
}

function Views({ view, show, published }: ViewsProps) {
  const offered = VIEWS.filter((each) => each !== "compare" || published);
  return (
    <ContentSwitcher
      size="sm"
      className="policy-views"
      selectedIndex={Math.max(offered.indexOf(view), 0)}
      onChange={({ name }) => {
        const next = offered.find((each) => each === name);
        if (next) show(next);
      }}
    >
      {offered.map((each) => (
        <Switch key={each} name={each} text={t.views[each]} />
      ))}
    </ContentSwitcher>
  );
}

/** What is known of a draft by the parts around the editor. */
export interface About {
  keeper: Keeper;
  standing: Standing;
}
