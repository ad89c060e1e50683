import { Button, OverflowMenu, OverflowMenuItem, Tag } from "@carbon/react";
import { Add, CheckmarkFilled, Locked } from "@carbon/icons-react";
import { useState } from "react";
import { useSession } from "@/api/session";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { Listing, type Column } from "@/pages/admin/listing";
import { ShownOnce } from "@/pages/admin/once";
import { texts } from "@/texts";
import { MakeUser } from "./make-user";
import { useUsers, type UserView } from "./queries";
import { UserDialog, type UserAct } from "./user-dialog";

interface Asked {
  user: UserView;
  act: UserAct;
}

function State({ user }: { user: UserView }) {
  const t = texts.users;
  const Icon = user.disabled ? Locked : CheckmarkFilled;
  return (
    <>
      <span className={`state tone-${user.disabled ? "bad" : "good"}`}>
        <Icon aria-hidden="true" />
        {user.disabled ? t.disabled : t.active}
      </span>
      {user.password_is_initial ? <div className="sub">{t.initial}</div> : null}
    </>
  );
}

function Menu({ user, ask }: { user: UserView; ask: (asked: Asked) => void }) {
  const t = texts.users;
  const item = (act: UserAct, text: string) => (
    <OverflowMenuItem itemText={text} isDelete={act === "remove"} onClick={() => ask({ user, act })} />
  );
  return (
    <OverflowMenu aria-label={t.menu(user.name)} iconDescription={t.menu(user.name)} size="sm" flipped>
      {item("role", t.changeRole)}
      {user.disabled ? item("enable", t.enable) : item("disable", t.disable)}
      {item("reset", t.reset)}
      {item("remove", texts.common.remove)}
    </OverflowMenu>
  );
}

function columns(own: string, ask: (asked: Asked) => void): Column<UserView>[] {
  const t = texts.users;
  return [
    {
      name: t.columns.name,
      cell: (user) => (
        <>
          {user.name}{" "}
          {user.name === own ? (
            <Tag size="sm" type="blue">
              {t.you}
            </Tag>
          ) : null}
        </>
      ),
    },
    { name: t.columns.role, cell: (user) => t.role[user.role] },
    { name: t.columns.state, cell: (user) => <State user={user} /> },
    {
      name: t.columns.last,
      cell: (user) => <Time at={user.last_login} relative none={texts.common.never} />,
    },
    { name: t.columns.sessions, kind: "number", cell: (user) => user.sessions ?? 0 },
    { name: t.columns.made, cell: (user) => <Time at={user.created_at} /> },
    { name: t.columns.actions, kind: "actions", cell: (user) => <Menu user={user} ask={ask} /> },
  ];
}

/** All users, for admins. */
export function UsersTab() {
  const t = texts.users;
  const query = useUsers();
  const { who } = useSession();
  const [making, setMaking] = useState(false);
  const [asked, setAsked] = useState<Asked>();
  const [secret, setSecret] = useState<{ name: string; password: string }>();
  return (
    <>
      <div className="toolbar">
        <span />
        <Button size="md" renderIcon={Add} onClick={() => setMaking(true)}>
          {t.make}
        </Button>
      </div>
      <Loaded query={query}>
        {(users) => (
          <Listing
            label={t.tabs.users}
            columns={columns(who?.user ?? "", setAsked)}
            rows={users}
            rowKey={(user) => user.name}
          />
        )}
      </Loaded>
      {making ? <MakeUser made={setSecret} close={() => setMaking(false)} /> : null}
      {asked ? <UserDialog {...asked} secret={setSecret} close={() => setAsked(undefined)} /> : null}
      {secret ? (
        <ShownOnce
          title={t.oneTime(secret.name)}
          warning={t.oneTimeOnce}
          label={t.oneTime(secret.name)}
          secret={secret.password}
          close={() => setSecret(undefined)}
        />
      ) : null}
    </>
  );
}
