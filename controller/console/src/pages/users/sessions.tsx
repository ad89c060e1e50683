import { Button, Tag } from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "@/api/client";
import { Confirm } from "@/components/confirm";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { Listing, type Column } from "@/pages/admin/listing";
import { texts } from "@/texts";
import { useSessions, type SessionView } from "./queries";

function columns(end: (session: SessionView) => void): Column<SessionView>[] {
  const t = texts.users;
  return [
    { name: t.sessionColumns.user, cell: (one) => one.user },
    { name: t.sessionColumns.kind, cell: (one) => (one.cookie ? t.browser : t.program) },
    { name: t.sessionColumns.from, cell: (one) => <span className="mono">{one.from}</span> },
    { name: t.sessionColumns.begun, cell: (one) => <Time at={one.created_at} /> },
    { name: t.sessionColumns.ends, cell: (one) => <Time at={one.expires_at} relative /> },
    {
      name: t.sessionColumns.actions,
      kind: "actions",
      cell: (one) =>
        one.current ? (
          <Tag size="sm" type="blue">
            {t.thisSession}
          </Tag>
        ) : (
          <Button
            kind="ghost"
            size="sm"
            aria-label={t.endSessionOf(one.user, one.from)}
            onClick={() => end(one)}
          >
            {t.endSession}
          </Button>
        ),
    },
  ];
}

/** Open sessions. */
export function SessionsTab() {
  const t = texts.users;
  const query = useSessions();
  const client = useQueryClient();
  const toasts = useToasts();
  const [ending, setEnding] = useState<SessionView>();
  const end = async (id: string) => {
    await api.DELETE("/api/v1/sessions/{id}", { params: { path: { id } } });
    toasts.done(t.ended);
    await client.invalidateQueries({ queryKey: ["users"] });
  };
  return (
    <>
      <div className="toolbar">
        <p>{t.sessionsHelp}</p>
      </div>
      <Loaded query={query}>
        {(sessions) =>
          sessions.length ? (
            <Listing
              label={t.tabs.sessions}
              columns={columns(setEnding)}
              rows={sessions}
              rowKey={(one) => one.id}
            />
          ) : (
            <EmptyState title={t.sessionsEmpty} />
          )
        }
      </Loaded>
      {ending ? (
        <Confirm
          title={t.endTitle}
          action={t.endSession}
          danger
          run={() => end(ending.id)}
          close={() => setEnding(undefined)}
        >
          <p>{t.endHelp(ending.user, ending.from)}</p>
        </Confirm>
      ) : null}
    </>
  );
}
