import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import type { Role } from "@/api/session";
import { ErrorState } from "@/components/states";
import { useToasts } from "@/components/toasts";
import { FormModal } from "@/pages/admin/form-modal";
import { texts } from "@/texts";
import { RoleSelect } from "./make-user";
import { useTaggedUser, type UserView } from "./queries";

/** What an admin can do with a user. */
export type UserAct = "role" | "disable" | "enable" | "reset" | "remove";

interface Props {
  user: UserView;
  act: UserAct;
  /** A new one-time password, to be shown once. */
  secret: (secret: { name: string; password: string }) => void;
  close: () => void;
}

/** Changes a user as it was when this opened: if somebody else changed it meanwhile, that is told first. */
export function UserDialog({ user: { name, role: shownRole }, act, secret, close }: Props) {
  const client = useQueryClient();
  const toasts = useToasts();
  const tagged = useTaggedUser(name);
  const [chosen, setRole] = useState<Role>();
  const role = chosen ?? tagged.data?.data.role ?? shownRole;
  const words = wordsFor(name, role)[act];
  const run = async () => {
    const options = {
      params: { path: { user: name } },
      headers: tagged.data?.etag ? { "If-Match": tagged.data.etag } : {},
    };
    if (act === "remove") await api.DELETE("/api/v1/users/{user}", options);
    else if (act === "reset") {
      const reset = await body(api.POST("/api/v1/users/{user}/password", { ...options, body: {} }));
      if (reset.password) secret({ name, password: reset.password });
    } else {
      const change = act === "role" ? { role } : { disabled: act === "disable" };
      await api.PATCH("/api/v1/users/{user}", { ...options, body: change });
    }
    if (words.done) toasts.done(words.done);
    await client.invalidateQueries({ queryKey: ["users"] });
    await client.invalidateQueries({ queryKey: ["whoami"] });
  };
  return (
    <FormModal
      title={words.title}
      action={words.action}
      danger={act === "disable" || act === "remove"}
      valid={tagged.data !== undefined}
      run={run}
      reload={() => void tagged.refetch()}
      close={close}
    >
      <p>{words.help}</p>
      {act === "role" ? <RoleSelect value={role} change={setRole} /> : null}
      {tagged.data === undefined && tagged.error ? (
        <ErrorState error={tagged.error} retry={() => void tagged.refetch()} />
      ) : null}
    </FormModal>
  );
}

interface Words {
  title: string;
  action: string;
  help: string;
  done?: string;
}

function wordsFor(name: string, role: Role): Record<UserAct, Words> {
  const t = texts.users;
  return {
    role: {
      title: t.changeRoleTitle(name),
      action: t.changeRole,
      help: t.changeRoleHelp,
      done: t.roleChanged(name, role),
    },
    disable: {
      title: t.disableTitle(name),
      action: t.disable,
      help: t.disableHelp,
      done: t.wasDisabled(name),
    },
    enable: { title: t.enableTitle(name), action: t.enable, help: t.enableHelp, done: t.wasEnabled(name) },
    reset: { title: t.resetTitle(name), action: t.reset, help: t.resetHelp },
    remove: {
      title: t.removeTitle(name),
      action: texts.common.remove,
      help: t.removeHelp,
      done: t.removed(name),
    },
  };
}
