import { Select, SelectItem, TextInput } from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import type { Role } from "@/api/session";
import { FormModal } from "@/pages/admin/form-modal";
import { texts } from "@/texts";

/** All roles, the least first. */
export const ROLES: readonly Role[] = ["viewer", "operator", "approver", "admin"];

const NAME = /^[A-Za-z0-9._@-]{1,64}$/;

/** Asks for a role. */
export function RoleSelect({ value, change }: { value: Role; change: (role: Role) => void }) {
  const t = texts.users;
  return (
    <Select
      id="user-role"
      labelText={t.roleLabel}
      data-modal-primary-focus
      value={value}
      onChange={(event) => change(ROLES.find((role) => role === event.target.value) ?? "viewer")}
    >
      {ROLES.map((role) => (
        <SelectItem key={role} value={role} text={t.role[role]} />
      ))}
    </Select>
  );
}

/** Makes a user; the controller makes the one-time password, so that nobody chooses a weak one. */
export function MakeUser(props: {
  made: (secret: { name: string; password: string }) => void;
  close: () => void;
}) {
  const t = texts.users;
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const run = async () => {
    const created = await body(api.POST("/api/v1/users", { body: { name: name.trim(), role } }));
    if (created.password) props.made({ name: created.user.name, password: created.password });
    await client.invalidateQueries({ queryKey: ["users"] });
  };
  const valid = NAME.test(name.trim());
  return (
    <FormModal title={t.make} action={t.make} valid={valid} run={run} close={props.close}>
      <TextInput
        id="user-name"
        labelText={t.name}
        helperText={t.nameHelp}
        autoComplete="off"
        spellCheck={false}
        data-modal-primary-focus
        value={name}
        invalid={name.trim() !== "" && !valid}
        invalidText={t.nameInvalid}
        onChange={(event) => setName(event.target.value)}
      />
      <RoleSelect value={role} change={setRole} />
    </FormModal>
  );
}
