import type { GridColumn } from "@/components/data-grid/types";
import { texts } from "@/texts";
import {
  HealthCell,
  LabelsCell,
  LagCell,
  LastSeenCell,
  NameCell,
  PolicyCell,
  RateCell,
  SinceCell,
  VersionCell,
} from "./cells";
import type { PartitionRow } from "./query";

type Column = GridColumn<PartitionRow>;

const t = texts.fleet.column;

/** The columns that every fleet has. */
const COLUMNS: readonly Column[] = [
  { id: "name", name: t.name, width: 136, names: true, sort: "name", cell: (row) => <NameCell row={row} /> },
  {
    id: "health",
    name: t.health,
    width: 256,
    grow: true,
    sort: "state",
    cell: (row) => <HealthCell row={row} />,
  },
  { id: "rate", name: t.rate, width: 152, end: true, sort: "rate", cell: (row) => <RateCell row={row} /> },
  { id: "lag", name: t.lag, width: 72, end: true, sort: "lag", cell: (row) => <LagCell row={row} /> },
  { id: "policy", name: t.policy, width: 160, sort: "policy", cell: (row) => <PolicyCell row={row} /> },
  { id: "labels", name: t.labels, width: 192, cell: (row) => <LabelsCell row={row} /> },
  { id: "system", name: t.system, width: 96, cell: (row) => row.system || "—" },
  {
    id: "os_release",
    name: t.os_release,
    width: 88,
    sort: "os_release",
    cell: (row) => row.os_release || "—",
  },
  { id: "version", name: t.version, width: 120, sort: "version", cell: (row) => <VersionCell row={row} /> },
  {
    id: "last_seen",
    name: t.last_seen,
    width: 104,
    sort: "last_seen",
    cell: (row) => <LastSeenCell row={row} />,
  },
  { id: "partition", name: t.partition, width: 120, extra: true, cell: (row) => row.partition ?? "—" },
  { id: "since", name: t.since, width: 160, extra: true, cell: (row) => <SinceCell row={row} /> },
];

/** All columns: these, and one for each label, which is shown if somebody wants it. */
export function columnsOf(labels: readonly string[]): readonly Column[] {
  const own = labels.map((key): Column => ({
    id: `label:${key}`,
    name: t.label(key),
    width: 136,
    sort: `label:${key}`,
    extra: true,
    cell: (row) => row.labels?.[key] ?? "—",
  }));
  return [...COLUMNS, ...own];
}
