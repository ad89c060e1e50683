import {
  Button,
  Select,
  SelectItem,
  Table,
  TableBody,
  TableCell,
  TableContainer,
  TableHead,
  TableHeader,
  TableRow,
} from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api } from "@/api/client";
import type { components } from "@/api/schema";
import { useMay } from "@/api/session";
import { Confirm } from "@/components/confirm";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { span } from "@/hooks/format";
import { texts } from "@/texts";
import { useLeases, type Agent } from "./queries";

type Lease = components["schemas"]["LeaseView"];
type Member = components["schemas"]["LeaseAgent"];

/** Which agent of the partition collects each source, and who stands by. */
export function Leases({ agent }: { agent: Agent }) {
  const t = texts.partition.leases;
  return (
    <section aria-labelledby="leases">
      <h2 id="leases">{t.title}</h2>
      {agent.partition ? (
        <LeaseList partition={agent.partition} me={agent.summary.id} />
      ) : (
        <EmptyState title={t.title}>{t.noPartition}</EmptyState>
      )}
    </section>
  );
}

function LeaseList({ partition, me }: { partition: string; me: string }) {
  const query = useLeases(partition);
  const t = texts.partition.leases;
  return (
    <Loaded query={query}>
      {(leases) => (leases.length ? <LeaseTable leases={leases} me={me} /> : <p>{t.none}</p>)}
    </Loaded>
  );
}

function LeaseTable({ leases, me }: { leases: readonly Lease[]; me: string }) {
  const t = texts.partition.leases;
  const may = useMay("operator");
  const [moving, setMoving] = useState<Lease>();
  const heads = [t.source, t.holder, t.epoch, texts.partition.since, t.renewed, t.standBy, t.late];
  return (
    <TableContainer>
      <Table size="sm" aria-label={t.title}>
        <TableHead>
          <TableRow>
            {heads.map((head) => (
              <TableHeader key={head}>{head}</TableHeader>
            ))}
            {may ? <TableHeader>{t.move}</TableHeader> : null}
          </TableRow>
        </TableHead>
        <TableBody>
          {leases.map((lease) => (
            <LeaseRow
              key={lease.source}
              lease={lease}
              me={me}
              move={may ? () => setMoving(lease) : undefined}
            />
          ))}
        </TableBody>
      </Table>
      {moving ? <Move lease={moving} close={() => setMoving(undefined)} /> : null}
    </TableContainer>
  );
}

function LeaseRow({ lease, me, move }: { lease: Lease; me: string; move: (() => void) | undefined }) {
  const t = texts.partition.leases;
  const under = lease.moving_to;
  return (
    <TableRow>
      <TableCell className="mono">{lease.source}</TableCell>
      <TableCell>
        <Who member={lease.holder} me={me} />
        {under ? <div className="muted">{t.moving(under.name)}</div> : null}
      </TableCell>
      <TableCell>{lease.epoch}</TableCell>
      <TableCell>
        <Time at={lease.since} relative />
      </TableCell>
      <TableCell>{t.renewedAgo(span(lease.renewed_ms_ago))}</TableCell>
      <TableCell>
        {lease.stand_by.map((member) => (
          <div key={member.id}>
            <Who member={member} me={me} />
          </div>
        ))}
      </TableCell>
      <TableCell>{lease.late_renewals}</TableCell>
      {move ? (
        <TableCell>
          <Button kind="ghost" size="sm" disabled={!lease.stand_by.length || Boolean(under)} onClick={move}>
            {t.move}
          </Button>
        </TableCell>
      ) : null}
    </TableRow>
  );
}

/** Agents of a partition have one name; their ids tell them apart. */
function Who({ member, me }: { member: Member; me: string }) {
  const t = texts.partition.leases;
  return (
    <>
      <Link className="cds--link" href={`/partitions/${member.id}`} title={member.id}>
        {`${member.name} (…${member.id.slice(-6)})`}
      </Link>
      {member.id === me ? <span className="muted"> {t.this}</span> : null}
      {member.connected ? null : <span className="muted"> {t.away}</span>}
    </>
  );
}

function Move({ lease, close }: { lease: Lease; close: () => void }) {
  const t = texts.partition.leases;
  const toasts = useToasts();
  const client = useQueryClient();
  const [to, setTo] = useState(lease.stand_by[0]?.id ?? "");
  const name = lease.stand_by.find((member) => member.id === to)?.name ?? "";
  return (
    <Confirm
      title={t.moveTitle}
      action={t.move}
      close={close}
      run={async () => {
        const params = { path: { partition: lease.partition } };
        await api.POST("/api/v1/leases/{partition}/move", { params, body: { to, source: lease.source } });
        toasts.done(t.done, lease.source);
        await client.invalidateQueries({ queryKey: ["partitions", lease.partition] });
      }}
    >
      <p>{t.moveHelp(lease.source, name)}</p>
      <Select id="lease-to" labelText={t.holder} value={to} onChange={(event) => setTo(event.target.value)}>
        {lease.stand_by.map((member) => (
          <SelectItem key={member.id} value={member.id} text={t.moveTo(member.name, member.id)} />
        ))}
      </Select>
    </Confirm>
  );
}
