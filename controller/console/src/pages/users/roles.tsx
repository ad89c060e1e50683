import { Checkmark } from "@carbon/icons-react";
import { isEnough, type Role } from "@/api/session";
import { Listing, type Column } from "@/pages/admin/listing";
import { texts } from "@/texts";
import { ROLES } from "./make-user";

/** What can be done, and the least role for it. */
const MAY: readonly (readonly [keyof typeof texts.users.may, Role])[] = [
  ["see", "viewer"],
  ["own", "viewer"],
  ["events", "operator"],
  ["operate", "operator"],
  ["approve", "approver"],
  ["administer", "admin"],
];

/** What each role may do. */
export function RolesTab() {
  const t = texts.users;
  const columns: Column<(typeof MAY)[number]>[] = [
    { name: t.rolesMay, cell: ([what]) => t.may[what] },
    ...ROLES.map((role) => ({
      name: t.role[role],
      cell: ([, least]: (typeof MAY)[number]) =>
        isEnough(role, least) ? (
          <Checkmark aria-label={texts.common.yes} />
        ) : (
          <span className="muted">{t.mayNot}</span>
        ),
    })),
  ];
  return (
    <>
      <div className="toolbar">
        <p>{t.rolesHelp}</p>
      </div>
      <Listing label={t.tabs.roles} columns={columns} rows={MAY} rowKey={([what]) => what} />
    </>
  );
}
