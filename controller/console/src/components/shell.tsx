import {
  Header,
  HeaderContainer,
  HeaderGlobalAction,
  HeaderGlobalBar,
  HeaderMenuButton,
  HeaderName,
  HeaderPanel,
  InlineNotification,
  SideNav,
  SideNavItems,
  SideNavLink,
  Switcher,
  SwitcherDivider,
  SwitcherItem,
  Theme,
} from "@carbon/react";
import {
  Activity,
  Certificate,
  ConnectionSignal,
  Dashboard,
  DeploymentPattern,
  Package,
  Policy,
  Report,
  UserAvatar,
  UserMultiple,
  type CarbonIconType,
} from "@carbon/icons-react";
import { lazy, Suspense, useEffect, useRef, useState, type MouseEvent, type ReactNode } from "react";
import { useLocation } from "wouter";
import { useLiveState } from "@/api/live";
import { useNotice } from "@/api/notice";
import { isEnough, useSession, type Role, type Who } from "@/api/session";
import { useTheme, type ThemeChoice } from "@/hooks/theme";
import { texts } from "@/texts";
import { useToasts } from "./toasts";

const ChangePassword = lazy(() => import("./change-password"));

/** The pages, in the order of the menu, and the role that sees them. */
const NAV: readonly {
  path: string;
  name: keyof typeof texts.shell.nav;
  icon: CarbonIconType;
  least: Role;
}[] = [
  { path: "/fleet", name: "fleet", icon: Dashboard, least: "viewer" },
  { path: "/live", name: "live", icon: Activity, least: "operator" },
  { path: "/policies", name: "policies", icon: Policy, least: "viewer" },
  { path: "/rollouts", name: "rollouts", icon: DeploymentPattern, least: "viewer" },
  { path: "/packages", name: "packages", icon: Package, least: "viewer" },
  { path: "/enrolment", name: "tokens", icon: ConnectionSignal, least: "viewer" },
  { path: "/licence", name: "licence", icon: Certificate, least: "viewer" },
  { path: "/users", name: "users", icon: UserMultiple, least: "viewer" },
  { path: "/audit", name: "audit", icon: Report, least: "viewer" },
];

/** Header and menu around every page. */
export function Shell({ who, children }: { who: Who; children: ReactNode }) {
  const t = texts.shell;
  const [panel, setPanel] = useState(false);
  const [changing, setChanging] = useState(false);
  const account = useRef<HTMLButtonElement>(null);
  const change = () => {
    // The panel closes; what it was opened by is where the focus comes back to.
    account.current?.focus();
    setPanel(false);
    setChanging(true);
  };
  const home = useGo("/fleet");
  return (
    <>
      <a className="skip" href="#main">
        {t.skip}
      </a>
      <HeaderContainer
        render={({ isSideNavExpanded, onClickSideNavExpand }) => (
          <Theme theme="g100">
            <Header aria-label={t.product}>
              <HeaderMenuButton
                aria-label={isSideNavExpanded ? t.closeMenu : t.openMenu}
                onClick={onClickSideNavExpand}
                isActive={isSideNavExpanded}
              />
              <HeaderName href="/fleet" prefix="" onClick={home}>
                {t.product}
              </HeaderName>
              <HeaderGlobalBar>
                <LiveSign />
                <HeaderGlobalAction
                  ref={account}
                  aria-label={t.account}
                  aria-expanded={panel}
                  isActive={panel}
                  tooltipAlignment="end"
                  onClick={() => setPanel(!panel)}
                >
                  <UserAvatar size={20} />
                </HeaderGlobalAction>
              </HeaderGlobalBar>
              {panel ? <AccountPanel who={who} change={change} close={() => setPanel(false)} /> : null}
              <Menu expanded={isSideNavExpanded} role={who.role} toggle={onClickSideNavExpand} />
            </Header>
          </Theme>
        )}
      />
      {/* Not in the header, which is dark, nor in its panel, which closes when the focus leaves it. */}
      {changing ? (
        <Suspense>
          <ChangePassword close={() => setChanging(false)} />
        </Suspense>
      ) : null}
      <main id="main" className="main" tabIndex={-1}>
        <NoticeBar />
        <StaleBar />
        {children}
      </main>
    </>
  );
}

/** Goes to a page without loading the console anew, unless another tab is wanted. */
function useGo(path: string) {
  const [, navigate] = useLocation();
  return (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    navigate(path);
  };
}

function Menu(props: { expanded: boolean; role: Role; toggle: () => void }) {
  return (
    <SideNav
      aria-label={texts.shell.menu}
      expanded={props.expanded}
      {...(props.expanded ? { onSideNavBlur: props.toggle } : {})}
      isPersistent
      className="menu"
    >
      <SideNavItems>
        {NAV.filter((item) => isEnough(props.role, item.least)).map((item) => (
          <MenuItem key={item.path} item={item} />
        ))}
      </SideNavItems>
    </SideNav>
  );
}

function MenuItem({ item }: { item: (typeof NAV)[number] }) {
  const [location] = useLocation();
  const go = useGo(item.path);
  const here =
    location.startsWith(item.path) || (item.path === "/fleet" && location.startsWith("/partitions"));
  return (
    <SideNavLink renderIcon={item.icon} href={item.path} isActive={here} onClick={go}>
      {texts.shell.nav[item.name]}
    </SideNavLink>
  );
}

/** Whether what is shown is live. */
function LiveSign() {
  const state = useLiveState();
  return (
    <span className={`live-sign live-${state}`} role="status">
      {texts.shell.live[state]}
    </span>
  );
}

/** A break that is shorter is mended before anybody has read of it. */
const BREAK_MS = 2_000;

/** The stream of changes is broken: what is shown below may be old, which a sign in a corner does not tell loud enough. */
function StaleBar() {
  const t = texts.shell.stale;
  const broken = useLiveState() === "broken";
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!broken) return undefined;
    const timer = setTimeout(() => setLasting(true), BREAK_MS);
    return () => {
      clearTimeout(timer);
      setLasting(false);
    };
  }, [broken]);
  if (!lasting) return null;
  return (
    <InlineNotification
      className="notice-bar"
      kind="warning"
      lowContrast
      hideCloseButton
      title={t.title}
      subtitle={t.help}
      statusIconDescription={texts.shell.notice.warning}
    />
  );
}

/** What everybody has to know, until it was read; another text is shown anew. */
function NoticeBar() {
  const t = texts.shell.notice;
  const notice = useNotice();
  const [read, setRead] = useState<string>();
  if (!notice || notice.text === read) return null;
  return (
    <InlineNotification
      key={notice.text}
      className="notice-bar"
      kind="warning"
      lowContrast
      title={t[notice.about]}
      subtitle={notice.text}
      statusIconDescription={t.warning}
      aria-label={t.close}
      onCloseButtonClick={() => setRead(notice.text)}
    />
  );
}

function AccountPanel({ who, change, close }: { who: Who; change: () => void; close: () => void }) {
  const t = texts.shell;
  const { choose } = useTheme();
  const { signOut } = useSession();
  const toasts = useToasts();
  const pick = (choice: ThemeChoice) => () => {
    choose(choice);
    close();
  };
  return (
    <HeaderPanel expanded aria-label={t.account} onHeaderPanelFocus={close}>
      <Switcher aria-label={t.account} expanded>
        <li className="account-name">{t.signedInAs(who.user, who.role)}</li>
        <li className="account-name muted">{t.version(who.controller_version)}</li>
        <SwitcherDivider />
        <SwitcherItem aria-label={t.system} onClick={pick("system")}>
          {`${t.theme}: ${t.system}`}
        </SwitcherItem>
        <SwitcherItem aria-label={t.light} onClick={pick("light")}>
          {`${t.theme}: ${t.light}`}
        </SwitcherItem>
        <SwitcherItem aria-label={t.dark} onClick={pick("dark")}>
          {`${t.theme}: ${t.dark}`}
        </SwitcherItem>
        <SwitcherDivider />
        <SwitcherItem aria-label={t.password} onClick={change}>
          {t.password}
        </SwitcherItem>
        <SwitcherItem aria-label={t.signOut} onClick={() => void signOut().catch(toasts.failed)}>
          {t.signOut}
        </SwitcherItem>
      </Switcher>
    </HeaderPanel>
  );
}
