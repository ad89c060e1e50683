import { Breadcrumb, BreadcrumbItem } from "@carbon/react";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { Health } from "@/components/health";
import { Page } from "@/components/page";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { Actions } from "./actions";
import type { Agent } from "./queries";

/** Name, state and actions above every tab. */
export function Head({ agent, children }: { agent: Agent; children: ReactNode }) {
  const t = texts.partition;
  const { summary } = agent;
  return (
    <Page
      title={summary.name}
      tab={t.tab(summary.name)}
      above={
        <Breadcrumb noTrailingSlash>
          <BreadcrumbItem>
            <Link href="/fleet">{t.back}</Link>
          </BreadcrumbItem>
        </Breadcrumb>
      }
      lead={
        <span className="row">
          <Health state={summary.state} />
          {summary.since ? (
            <span>
              {t.since} <Time at={summary.since} relative />
            </span>
          ) : null}
          <span>{t.lead(agent.partition ?? "", summary.os_release ?? "", summary.version ?? "")}</span>
        </span>
      }
      actions={<Actions agent={agent} />}
    >
      {children}
    </Page>
  );
}
