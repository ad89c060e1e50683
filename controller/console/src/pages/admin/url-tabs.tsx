import { Tab, TabList, TabPanel, TabPanels, Tabs } from "@carbon/react";
import type { ReactNode } from "react";
import { useAddress } from "@/hooks/address";

/** One tab: its word in the address, its name, and what it shows. */
export interface UrlTab {
  id: string;
  name: string;
  show: () => ReactNode;
}

/** Tabs whose choice stands in the address. What is not chosen is neither shown nor asked for. */
export function UrlTabs({ label, tabs }: { label: string; tabs: readonly UrlTab[] }) {
  const [params, set] = useAddress();
  const at = Math.max(
    0,
    tabs.findIndex((tab) => tab.id === params.get("tab")),
  );
  const choose = (index: number) => {
    const tab = tabs[index];
    if (!tab || index === at) return;
    set({ tab: index === 0 ? undefined : tab.id });
  };
  return (
    <Tabs selectedIndex={at} onChange={({ selectedIndex }) => choose(selectedIndex)}>
      <TabList aria-label={label}>
        {tabs.map((tab) => (
          <Tab key={tab.id}>{tab.name}</Tab>
        ))}
      </TabList>
      <TabPanels>
        {tabs.map((tab, index) => (
          <TabPanel key={tab.id} className="url-tab">
            {index === at ? tab.show() : null}
          </TabPanel>
        ))}
      </TabPanels>
    </Tabs>
  );
}
