import { Tab, TabList, TabPanel, TabPanels, Tabs } from "@carbon/react";
import { Link, useParams, useSearchParams } from "wouter";
import { ApiError } from "@/api/problem";
import { EmptyState, Loaded } from "@/components/states";
import { Page } from "@/components/page";
import { PartitionOffset } from "@/components/time";
import { texts } from "@/texts";
import { Changes } from "./changes";
import { Components } from "./components";
import { Events } from "./events";
import { Head } from "./head";
import { Overview } from "./overview";
import { PolicyTab } from "./policy";
import { useAgent, type Agent } from "./queries";
import { Trust } from "./trust";
import "./partition.scss";

const TABS = ["overview", "sources", "policy", "trust", "changes", "events"] as const;
type TabName = (typeof TABS)[number];

/** What a tab shows needs the agent, and its tag for changes. */
export interface TabUse {
  agent: Agent;
  etag: string | undefined;
}

const CONTENT: Record<TabName, (use: TabUse) => React.ReactNode> = {
  overview: (use) => <Overview {...use} />,
  sources: ({ agent }) => <Components agent={agent} />,
  policy: ({ agent }) => <PolicyTab agent={agent} />,
  trust: ({ agent }) => <Trust agent={agent} />,
  changes: ({ agent }) => <Changes agent={agent} />,
  events: ({ agent }) => <Events key={agent.summary.id} agent={agent} />,
};

/** Everything of one partition. */
export default function Partition() {
  const { agent: name = "" } = useParams();
  const query = useAgent(decodeURIComponent(name));
  // Though it is still known here: it was decommissioned elsewhere meanwhile.
  if (query.error instanceof ApiError && query.error.status === 404) return <Gone />;
  if (query.data === undefined) {
    return (
      <Page title={texts.partition.title}>
        <Loaded query={query}>{() => null}</Loaded>
      </Page>
    );
  }
  const { data: agent, etag } = query.data;
  return (
    <PartitionOffset value={agent.summary.utc_offset_seconds ?? undefined}>
      <Head agent={agent}>
        <PartitionTabs agent={agent} etag={etag} />
      </Head>
    </PartitionOffset>
  );
}

function Gone() {
  const t = texts.partition;
  return (
    <Page title={t.title}>
      <EmptyState title={t.gone} action={<Link href="/fleet">{texts.common.toFleet}</Link>}>
        {t.goneHelp}
      </EmptyState>
    </Page>
  );
}

function PartitionTabs(use: TabUse) {
  const t = texts.partition;
  const [params, setParams] = useSearchParams();
  const asked = TABS.findIndex((name) => name === params.get("tab"));
  const selected = Math.max(0, asked);
  // Filters and choices of one tab mean nothing to another.
  const choose = (index: number) => setParams(index ? { tab: TABS[index] ?? "" } : {});
  return (
    <Tabs selectedIndex={selected} onChange={({ selectedIndex }) => choose(selectedIndex)}>
      <TabList aria-label={t.tabsLabel} activation="manual">
        {TABS.map((name) => (
          <Tab key={name}>{t.tabs[name]}</Tab>
        ))}
      </TabList>
      <TabPanels>
        {TABS.map((name, index) => (
          // Only what is looked at is asked for.
          <TabPanel key={name} className="partition-panel">
            {index === selected ? CONTENT[name](use) : null}
          </TabPanel>
        ))}
      </TabPanels>
    </Tabs>
  );
}
