import { useProposals } from "@/api/proposals";
import { useMay } from "@/api/session";
import { Page } from "@/components/page";
import { UrlTabs, type UrlTab } from "@/pages/admin/url-tabs";
import { texts } from "@/texts";
import { ApiTokensTab } from "./api-tokens";
import { BackupsTab } from "./backups";
import { FourEyesTab } from "./four-eyes";
import { RolesTab } from "./roles";
import { SessionsTab } from "./sessions";
import { UsersTab } from "./users-tab";
import "@/pages/admin/admin.scss";

/** People and programs: an admin's view of all, everybody's of what is their own. */
export default function Index() {
  const t = texts.users;
  const admin = useMay("admin");
  const pending = useProposals().data?.filter((one) => one.state === "pending").length ?? 0;
  const tabs: UrlTab[] = [
    { id: "sessions", name: admin ? t.tabs.sessions : t.tabs.ownSessions, show: () => <SessionsTab /> },
    { id: "tokens", name: admin ? t.tabs.apiTokens : t.tabs.ownApiTokens, show: () => <ApiTokensTab /> },
    { id: "four-eyes", name: t.tabs.fourEyes(pending), show: () => <FourEyesTab /> },
    { id: "roles", name: t.tabs.roles, show: () => <RolesTab /> },
  ];
  if (admin) {
    tabs.unshift({ id: "users", name: t.tabs.users, show: () => <UsersTab /> });
    tabs.push({ id: "backups", name: t.tabs.backups, show: () => <BackupsTab /> });
  }
  return (
    <Page title={t.title} lead={t.lead}>
      <UrlTabs label={t.sections} tabs={tabs} />
    </Page>
  );
}
