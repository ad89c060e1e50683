import { Button, Tab, TabList, TabPanel, TabPanels, Tabs } from "@carbon/react";
import { Edit, TrashCan } from "@carbon/icons-react";
import { lazy, Suspense, useState, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { useMay } from "@/api/session";
import { Page } from "@/components/page";
import { EmptyState, Loaded, LoadingState } from "@/components/states";
import { texts } from "@/texts";
import { useDrafts, usePolicies, type DraftView, type RevisionView } from "./data";
import { Facts } from "./facts";
import { History } from "./history";
import { RemovePolicy } from "./remove";
import { Status } from "./status";
import { TextTab } from "./text";

const Editor = lazy(() => import("./editor"));
const t = texts.policies.one;

/** What can be looked at of a policy, by the last part of its address. */
const TABS = ["text", "edit", "history", "status"] as const;
type TabName = (typeof TABS)[number];
const isTab = (text: string | undefined): text is TabName => TABS.some((tab) => tab === text);

/** One policy. A draft of a policy that was never published has only its editor. */
export function PolicyPage({ name, tab }: { name: string; tab: string | undefined }) {
  const policies = usePolicies();
  const drafts = useDrafts();
  return (
    <Loaded query={policies}>
      {(all) => {
        const revision = all.find((policy) => policy.name === name);
        const draft = drafts.data?.find((each) => each.name === name);
        if (!revision && tab !== "edit" && drafts.isPending) return <LoadingState />;
        if (!revision && !draft && tab !== "edit") return <Unknown name={name} />;
        return <Known name={name} tab={tab} revision={revision} draft={draft} />;
      }}
    </Loaded>
  );
}

function Unknown({ name }: { name: string }) {
  return (
    <Page title={name} above={<Back />}>
      <EmptyState title={t.unknown(name)}>{t.unknownHelp}</EmptyState>
    </Page>
  );
}

/** The way back to the list. */
export function Back() {
  return (
    <nav className="policy-back" aria-label={texts.policies.back}>
      <Link href="/policies" className="cds--link">
        {texts.policies.title}
      </Link>
    </nav>
  );
}

interface Known {
  name: string;
  tab: string | undefined;
  revision: RevisionView | undefined;
  draft: DraftView | undefined;
}

function Known({ name, tab, revision, draft }: Known) {
  const may = useMay("operator");
  const [, navigate] = useLocation();
  const [removing, setRemoving] = useState(false);
  const live = revision && !revision.removed ? revision : undefined;
  const open: TabName[] = [
    ...(live ? (["text"] as const) : []),
    ...(may || draft ? (["edit"] as const) : []),
    ...(revision ? (["history"] as const) : []),
    ...(live ? (["status"] as const) : []),
  ];
  const shown = isTab(tab) && open.includes(tab) ? tab : (open[0] ?? "edit");
  const actions =
    may && live && shown !== "edit" ? (
      <>
        <Button kind="danger--ghost" size="md" renderIcon={TrashCan} onClick={() => setRemoving(true)}>
          {t.remove}
        </Button>
        <Button size="md" renderIcon={Edit} onClick={() => navigate(`/policies/${name}/edit`)}>
          {draft ? t.editDraft : t.edit}
        </Button>
      </>
    ) : null;
  return (
    <Page
      title={name}
      tab={`${name} · ${texts.policies.title}`}
      lead={revision ? revision.description : t.onlyDraft}
      above={<Back />}
      actions={actions}
    >
      {revision && shown !== "edit" ? <Facts revision={revision} /> : null}
      <PolicyTabs name={name} open={open} shown={shown}>
        <Content name={name} shown={shown} revision={revision} />
      </PolicyTabs>
      {removing && live ? <RemovePolicy revision={live} close={() => setRemoving(false)} /> : null}
    </Page>
  );
}

function Content({
  name,
  shown,
  revision,
}: {
  name: string;
  shown: TabName;
  revision: RevisionView | undefined;
}) {
  switch (shown) {
    case "text":
      return <TextTab name={name} />;
    case "edit":
      return (
        <Suspense fallback={<LoadingState />}>
          <Editor name={name} policy={revision} />
        </Suspense>
      );
    case "history":
      return <History name={name} current={revision} />;
    case "status":
      return <Status name={name} revision={revision} />;
  }
}

interface TabsProps {
  name: string;
  open: TabName[];
  shown: TabName;
  children: ReactNode;
}

function PolicyTabs({ name, open, shown, children }: TabsProps) {
  const [, navigate] = useLocation();
  const go = ({ selectedIndex }: { selectedIndex: number }) => {
    const tab = open[selectedIndex];
    if (tab && tab !== shown) navigate(tab === "text" ? `/policies/${name}` : `/policies/${name}/${tab}`);
  };
  return (
    <Tabs selectedIndex={Math.max(open.indexOf(shown), 0)} onChange={go}>
      <TabList aria-label={name} activation="manual">
        {open.map((tab) => (
          <Tab key={tab}>{t.tabs[tab]}</Tab>
        ))}
      </TabList>
      <TabPanels>
        {open.map((tab) => (
          <TabPanel key={tab} className="policy-panel">
            {tab === shown ? children : null}
          </TabPanel>
        ))}
      </TabPanels>
    </Tabs>
  );
}
