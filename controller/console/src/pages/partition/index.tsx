import { Tab, TabList, TabPanel, TabPanels, Tabs } from "@carbon/react";
import { useParams, useSearchParams } from "wouter";
import { Loaded } from "@/components/states";
import { Page } from "@/components/page";
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
  events: ({ agent }) => <Events agent={agent} />,
};

/** Everything of one partition. */
export default function Partition() {
  const { agent: name = "" } = useParams();
  const query = useAgent(decodeURIComponent(name));
  if (query.data === undefined) {
    return (
      <Page title={texts.partition.title}>
        <Loaded query={query}>{() => null}</Loaded>
      </Page>
    );
  }
  const { data: agent, etag } = query.data;
  return (
    <Head agent={agent}>
      <PartitionTabs agent={agent} etag={etag} />
    </Head>
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
