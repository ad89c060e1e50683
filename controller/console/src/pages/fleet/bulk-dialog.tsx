import { ProgressBar, Select, SelectItem, Stack, TextInput } from "@carbon/react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Dialog } from "@/components/dialog";
import { count } from "@/hooks/format";
import { texts } from "@/texts";
import { runBulk, workOf, type BulkInput, type BulkKind, type BulkState } from "./bulk";
import { BulkResult } from "./bulk-result";
import type { PartitionRow } from "./query";

/** Names that are told before it is done. */
const NAMES = 5;

interface Run {
  state: BulkState;
  rows: readonly PartitionRow[];
  phase: "running" | "stopping" | "ended";
}

/** Asks once, shows how far it is, and tells what did not work. */
export default function BulkDialog(props: {
  kind: BulkKind;
  rows: readonly PartitionRow[];
  close: () => void;
}) {
  const t = texts.fleet.bulk;
  const { kind } = props;
  const [input, setInput] = useState<BulkInput>({ key: "", value: "", seconds: 3_600, reason: "" });
  const { run, start, stop } = useBulk(kind, input);
  const running = run?.phase === "running" || run?.phase === "stopping";
  const again = run?.phase === "ended" && run.state.failures.length > 0;
  const number = count((run?.rows ?? props.rows).length);
  return (
    <Dialog
      size="sm"
      held={running}
      danger={kind === "quarantine" && !run}
      modalHeading={t.title[kind](number)}
      primaryButtonText={run ? (again ? t.again : t.close) : t[kind]}
      primaryButtonDisabled={running || (!run && !isWhole(kind, input))}
      {...(run?.phase === "ended" && !again ? {} : { secondaryButtonText: buttonOf(run) })}
      preventCloseOnClickOutside
      onRequestSubmit={() => {
        if (!run) start(props.rows);
        else if (again) start(run.state.failures.map(({ row }) => row));
        else props.close();
      }}
      onSecondarySubmit={running ? stop : props.close}
      onRequestClose={props.close}
    >
      {run ? <Progress run={run} /> : <Ask kind={kind} rows={props.rows} input={input} change={setInput} />}
    </Dialog>
  );
}

function buttonOf(run: Run | undefined): string {
  const t = texts.fleet.bulk;
  if (!run) return texts.common.cancel;
  if (run.phase === "running") return t.stop;
  return run.phase === "stopping" ? t.stopping : t.close;
}

function isWhole(kind: BulkKind, input: BulkInput): boolean {
  if (kind === "setLabel") return input.key.trim() !== "" && input.value.trim() !== "";
  return kind !== "removeLabel" || input.key.trim() !== "";
}

/** Does it; leaving the page begins nothing new. */
function useBulk(kind: BulkKind, input: BulkInput) {
  const client = useQueryClient();
  const [run, setRun] = useState<Run>();
  const abort = useRef<AbortController>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const start = (rows: readonly PartitionRow[]) => {
    const control = new AbortController();
    abort.current = control;
    setRun({ rows, phase: "running", state: { done: 0, failures: [], left: rows.length } });
    const tidy = { ...input, key: input.key.trim(), value: input.value.trim(), reason: input.reason.trim() };
    void runBulk(rows, workOf(kind, tidy), control.signal, (state) => {
      setRun((now) => now && { ...now, state });
    }).then(() => {
      setRun((now) => now && { ...now, phase: "ended" });
      return client.invalidateQueries({ queryKey: ["partitions"] });
    });
  };
  const stop = () => {
    abort.current?.abort();
    setRun((now) => now && { ...now, phase: "stopping" });
  };
  return { run, start, stop };
}

function Ask(props: {
  kind: BulkKind;
  rows: readonly PartitionRow[];
  input: BulkInput;
  change: (input: BulkInput) => void;
}) {
  const t = texts.fleet.bulk;
  const { kind, rows, input } = props;
  const names = rows.slice(0, NAMES).map(({ name }) => name);
  const set = (part: Partial<BulkInput>) => props.change({ ...input, ...part });
  return (
    <Stack gap={5}>
      <p>{t.who(names.join(", "), rows.length - names.length)}</p>
      <p>{t.help[kind]}</p>
      {kind === "setLabel" || kind === "removeLabel" ? (
        <TextInput
          id="bulk-key"
          labelText={t.key}
          helperText={t.keyHelp}
          maxLength={63}
          data-modal-primary-focus
          value={input.key}
          onChange={(event) => set({ key: event.target.value })}
        />
      ) : null}
      {kind === "setLabel" ? (
        <TextInput
          id="bulk-value"
          labelText={t.value}
          maxLength={63}
          value={input.value}
          onChange={(event) => set({ value: event.target.value })}
        />
      ) : null}
      {kind === "announce" ? (
        <Select
          id="bulk-duration"
          labelText={t.duration}
          value={String(input.seconds)}
          onChange={(event) => set({ seconds: Number(event.target.value) })}
        >
          {texts.common.durations.map(([seconds, text]) => (
            <SelectItem key={seconds} value={String(seconds)} text={text} />
          ))}
        </Select>
      ) : null}
      {kind === "announce" || kind === "quarantine" ? (
        <TextInput
          id="bulk-reason"
          labelText={t.reason}
          helperText={t.reasonHelp}
          maxLength={200}
          value={input.reason}
          onChange={(event) => set({ reason: event.target.value })}
        />
      ) : null}
    </Stack>
  );
}

function Progress({ run }: { run: Run }) {
  const t = texts.fleet.bulk;
  if (run.phase === "ended") return <BulkResult state={run.state} />;
  const { done, failures } = run.state;
  const over = done + failures.length;
  return (
    <ProgressBar
      label={t.result(count(done), count(failures.length))}
      helperText={t.progress(count(over), count(run.rows.length))}
      value={over}
      max={run.rows.length}
    />
  );
}
