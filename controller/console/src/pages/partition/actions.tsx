import { Button, MenuButton, MenuItem, MenuItemDivider } from "@carbon/react";
import { Download } from "@carbon/icons-react";
import { useRef, useState } from "react";
import { useMay, type Role } from "@/api/session";
import { texts } from "@/texts";
import { ActionDialog, type ActionName } from "./dialogs";
import type { Agent } from "./queries";

/** What can be done to a partition, by who may. */
export function Actions({ agent }: { agent: Agent }) {
  const t = texts.partition.actions;
  const may: Record<Role, boolean> = {
    viewer: true,
    operator: useMay("operator"),
    approver: useMay("approver"),
    admin: useMay("admin"),
  };
  const [dialog, setDialog] = useState<ActionName>();
  const box = useRef<HTMLDivElement>(null);
  if (!may.operator) return null;
  const there = agent.summary.connection === "connected";
  const { life } = agent.summary;
  const item = (name: ActionName, least: Role, connected = false) => {
    const label = !may[least]
      ? t.needsRole(t[name], least)
      : connected && !there
        ? t.notConnected(t[name])
        : t[name];
    const disabled = !may[least] || (connected && !there);
    return <MenuItem label={label} disabled={disabled} onClick={() => setDialog(name)} />;
  };
  const close = () => {
    setDialog(undefined);
    box.current?.querySelector<HTMLElement>(".cds--menu-button__trigger")?.focus();
  };
  return (
    <div className="row" ref={box}>
      <Button
        kind="tertiary"
        size="sm"
        renderIcon={Download}
        disabled={!there}
        {...(there ? {} : { title: texts.partition.events.away })}
        onClick={() => setDialog("diagnostics")}
      >
        {t.diagnostics}
      </Button>
      <MenuButton label={t.menu} size="sm" menuAlignment="bottom-end">
        {item("restart", "operator", true)}
        {life === "quarantined"
          ? item("release", "approver")
          : life === "active"
            ? item("quarantine", "operator")
            : null}
        {life === "revoked" ? null : item("revoke", "operator")}
        <MenuItemDivider />
        <MenuItem
          kind="danger"
          dangerDescription={t.danger}
          label={may.admin ? t.decommission : t.needsRole(t.decommission, "admin")}
          disabled={!may.admin}
          onClick={() => setDialog("decommission")}
        />
      </MenuButton>
      {dialog ? <ActionDialog name={dialog} agent={agent} close={close} /> : null}
    </div>
  );
}
