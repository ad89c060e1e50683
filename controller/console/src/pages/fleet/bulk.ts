import { api, body, tagged } from "@/api/client";
import { ApiError, wordsOf } from "@/api/problem";
import { texts } from "@/texts";
import type { PartitionRow } from "./query";

/** What can be done with many partitions. */
export type BulkKind = "setLabel" | "removeLabel" | "announce" | "end" | "restart" | "quarantine";

/** What is asked for before it is done. */
export interface BulkInput {
  key: string;
  value: string;
  seconds: number;
  reason: string;
}

/** Requests at the same time. */
const AT_ONCE = 6;
/** Somebody else may change the labels at the same moment. */
const TRIES = 3;

/** Something did not work with one of them. */
export interface Failure {
  row: PartitionRow;
  why: string;
}

/** How far it is. */
export interface BulkState {
  done: number;
  failures: Failure[];
  /** Neither done nor failed. */
  left: number;
}

/**
 * Does something with each of many partitions, some at a time. What fails is told, and the others go on. Once `signal` says
 * so nothing new is begun; what was begun is waited for, so that what is told is so.
 */
export async function runBulk(
  rows: readonly PartitionRow[],
  work: (row: PartitionRow) => Promise<unknown>,
  signal: AbortSignal,
  tell: (state: BulkState) => void,
): Promise<void> {
  const waiting = [...rows];
  const state: BulkState = { done: 0, failures: [], left: rows.length };
  const worker = async () => {
    for (let row = waiting.shift(); row; row = waiting.shift()) {
      if (signal.aborted) return;
      try {
        await work(row);
        state.done += 1;
      } catch (error) {
        state.failures = [...state.failures, { row, why: wordsOf(error) }];
      }
      state.left -= 1;
      tell({ ...state });
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, rows.length) }, worker));
}

/** What is done with one partition. */
export function workOf(kind: BulkKind, input: BulkInput): (row: PartitionRow) => Promise<unknown> {
  const path = (row: PartitionRow) => ({ params: { path: { agent: row.id } } });
  const { key, value, reason, seconds } = input;
  switch (kind) {
    case "setLabel":
      return (row) => relabel(row.id, (labels) => ({ ...labels, [key]: value }));
    case "removeLabel":
      return (row) =>
        relabel(row.id, (labels) =>
          Object.fromEntries(Object.entries(labels).filter(([name]) => name !== key)),
        );
    case "announce":
      return (row) =>
        api.PUT("/api/v1/agents/{agent}/maintenance", {
          ...path(row),
          body: { for_seconds: seconds, reason },
        });
    case "end":
      return (row) => api.DELETE("/api/v1/agents/{agent}/maintenance", path(row));
    case "restart":
      return (row) => api.POST("/api/v1/agents/{agent}/restart", path(row));
    case "quarantine":
      return (row) => api.POST("/api/v1/agents/{agent}/quarantine", { ...path(row), body: { reason } });
  }
}

type Labels = Record<string, string>;

/** Changes the labels of an agent as they are now, not as a row showed them some time ago. */
async function relabel(agent: string, change: (labels: Labels) => Labels): Promise<void> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const params = { path: { agent } };
    const { data, etag } = await tagged(api.GET("/api/v1/agents/{agent}", { params }));
    const before = data.summary.labels ?? {};
    const labels = change(before);
    if (same(before, labels)) return;
    try {
      const headers = etag ? { "if-match": etag } : {};
      await body(api.PUT("/api/v1/agents/{agent}/labels", { params, headers, body: labels }));
      return;
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 412)) throw error;
    }
  }
  throw new Error(texts.fleet.bulk.changedTwice);
}

function same(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
