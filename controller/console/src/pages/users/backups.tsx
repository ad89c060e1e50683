import { Button, InlineNotification } from "@carbon/react";
import { Download } from "@carbon/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { bytes } from "@/hooks/format";
import { Listing, type Column } from "@/pages/admin/listing";
import { texts } from "@/texts";

type BackupList = components["schemas"]["BackupList"];
type BackupView = components["schemas"]["BackupView"];

const KEY = ["users", "backups"];

function columns(): Column<BackupView>[] {
  const t = texts.users;
  return [
    { name: t.backupColumns.name, cell: (one) => <span className="mono">{one.name}</span> },
    { name: t.backupColumns.taken, cell: (one) => <Time at={one.taken_at} /> },
    { name: t.backupColumns.size, kind: "number", cell: (one) => bytes(one.bytes) },
    {
      name: t.backupColumns.verified,
      cell: (one) => <Time at={one.verified_at} relative none={t.backupNotVerified} />,
    },
    {
      name: t.backupColumns.actions,
      kind: "actions",
      cell: (one) => (
        <Button
          as="a"
          kind="ghost"
          size="sm"
          hasIconOnly
          renderIcon={Download}
          iconDescription={t.backupDownload(one.name)}
          tooltipPosition="left"
          href={`/api/v1/backups/${encodeURIComponent(one.name)}`}
          download={one.name}
        />
      ),
    },
  ];
}

/** Backups of the controller, for admins. */
export function BackupsTab() {
  const query = useQuery({ queryKey: KEY, queryFn: () => body(api.GET("/api/v1/backups")) });
  return <Loaded query={query}>{(list) => <Backups list={list} />}</Loaded>;
}

function Backups({ list }: { list: BackupList }) {
  const t = texts.users;
  const client = useQueryClient();
  const toasts = useToasts();
  const make = useMutation({
    mutationFn: () => api.POST("/api/v1/backups"),
    onSuccess: () => toasts.done(t.backupMade),
    onError: toasts.failed,
    onSettled: () => client.invalidateQueries({ queryKey: KEY }),
  });
  if (!list.folder) return <EmptyState title={t.tabs.backups}>{t.backupsNone}</EmptyState>;
  return (
    <div className="stack">
      <div className="toolbar">
        <p>{t.backupsHelp(list.every_hours ?? 0, list.keep ?? 0)}</p>
        <Button size="md" disabled={make.isPending} onClick={() => make.mutate()}>
          {make.isPending ? t.backupMaking : t.backupMake}
        </Button>
      </div>
      {list.last_failure ? (
        <InlineNotification
          kind="error"
          lowContrast
          hideCloseButton
          title={t.backupFailed}
          subtitle={list.last_failure.reason}
        />
      ) : null}
      <dl className="facts">
        <div>
          <dt>{t.backupFolder}</dt>
          <dd className="mono">{list.folder}</dd>
        </div>
        <div>
          <dt>{t.backupNext}</dt>
          <dd>
            <Time at={list.next_due} relative />
          </dd>
        </div>
        <div>
          <dt>{t.backupLast}</dt>
          <dd>
            <Time at={list.last_success} relative none={texts.common.never} />
          </dd>
        </div>
      </dl>
      {list.backups.length ? (
        <Listing label={t.tabs.backups} columns={columns()} rows={list.backups} rowKey={(one) => one.name} />
      ) : (
        <p className="muted">{t.backupsEmpty}</p>
      )}
    </div>
  );
}
