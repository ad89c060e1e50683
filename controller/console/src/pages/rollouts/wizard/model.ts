import type { OnFailure, RolloutRequest, RolloutStrategy } from "@/api/schema";
import { labelWords, readLabels } from "@/hooks/labels";
import { texts } from "@/texts";
import { readSpan, spanWords } from "../span";

const t = texts.rollouts.wizard.faults;

/** Days on which a window opens. */
export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
/** One of them. */
export type Day = (typeof DAYS)[number];

/** A maintenance window while it is typed. */
export interface WindowForm {
  labels: string;
  days: Day[];
  from: string;
  to: string;
  zone: string;
}

/** A strategy while it is typed: what is wrong must be able to stand there, too. */
export interface Form {
  canaries: string;
  canaryLabels: string;
  waves: string;
  maxUnavailable: string;
  maxFailures: string;
  success: string;
  soak: string;
  deadline: string;
  recovery: string;
  onFailure: OnFailure;
  health: boolean;
  lag: string;
  errors: string;
  least: string;
  most: string;
  windows: WindowForm[];
}

/** Everything that was chosen in the wizard. */
export interface Choice {
  kind: "policies" | "package";
  drafts: string[];
  /** Policies that change without a draft: to an older revision, or removed. */
  policies: { name: string; to: number | "remove" | undefined }[];
  /** `name@version`; empty for none. */
  pack: string;
  labels: string;
  description: string;
  preset: Preset;
  form: Form;
  deleteDrafts: boolean;
}

/** Strategies to begin with; each field can be changed afterwards. */
export const PRESETS = ["careful", "normal", "fast"] as const;
/** One of them. */
export type Preset = (typeof PRESETS)[number];

const NORMAL: RolloutStrategy = {
  canaries: 1,
  canary_labels: {},
  waves: [10, 50, 100],
  max_unavailable: "10%",
  max_failures: "0",
  success_percent: 100,
  soak_seconds: 600,
  deadline_seconds: 300,
  recovery_seconds: 60,
  gates: {
    health: true,
    max_lag_seconds: 300,
    max_error_percent: 1,
    min_rate_percent: 10,
    max_rate_percent: 1_000,
  },
  windows: [],
  on_failure: "roll_back",
};

/** An upgrade downloads and has to prove itself: it takes longer than a policy. */
const PACKAGE = { deadline_seconds: 3_600, soak_seconds: 900 };

/** The strategy of a preset. */
export function presetOf(preset: Preset, kind: Choice["kind"]): RolloutStrategy {
  const base = kind === "package" ? { ...NORMAL, ...PACKAGE } : NORMAL;
  if (preset === "careful") {
    return {
      ...base,
      canaries: 2,
      waves: [5, 25, 50, 100],
      max_unavailable: "5%",
      soak_seconds: kind === "package" ? 3_600 : 1_800,
    };
  }
  if (preset === "fast") {
    return {
      ...base,
      waves: [100],
      max_unavailable: "25%",
      soak_seconds: kind === "package" ? 600 : 60,
    };
  }
  return base;
}

/** A strategy as it is typed. */
export function formOf(s: RolloutStrategy): Form {
  const optional = (value: number | null | undefined) => String(value ?? "");
  const { gates } = s;
  return {
    canaries: String(s.canaries),
    canaryLabels: labelWords(s.canary_labels),
    waves: s.waves.join(", "),
    maxUnavailable: s.max_unavailable,
    maxFailures: s.max_failures,
    success: String(s.success_percent),
    soak: spanWords(s.soak_seconds),
    deadline: spanWords(s.deadline_seconds),
    recovery: spanWords(s.recovery_seconds),
    onFailure: s.on_failure,
    health: gates.health,
    lag: typeof gates.max_lag_seconds === "number" ? spanWords(gates.max_lag_seconds) : "",
    errors: optional(gates.max_error_percent),
    least: optional(gates.min_rate_percent),
    most: optional(gates.max_rate_percent),
    windows: s.windows.map(({ labels = {}, days = [], from, to, time_zone }) => ({
      labels: labelWords(labels),
      days,
      from,
      to,
      zone: time_zone,
    })),
  };
}

/** What is wrong with which field. */
export type Faults = Partial<Record<keyof Form, string>>;

/** A reader that collects what is wrong. */
function reader(form: Form) {
  const faults: Faults = {};
  const note = (field: keyof Form, fault: string) => {
    faults[field] = fault;
  };
  const text = (field: keyof Form) => String(form[field]).trim();
  const whole = (field: keyof Form, most: number) => {
    const value = Number(text(field));
    if (text(field) && Number.isInteger(value) && value >= 0 && value <= most) return value;
    note(field, t.whole(most));
    return 0;
  };
  return {
    faults,
    note,
    whole,
    optional: (field: keyof Form, most: number) => (text(field) ? whole(field, most) : null),
    span: (field: keyof Form) => {
      const value = readSpan(text(field));
      if (value === undefined) note(field, t.span);
      return value ?? 0;
    },
    amount: (field: keyof Form) => {
      if (!/^\d+\s*%?$/.test(text(field))) note(field, t.amount);
      return text(field).replace(/\s/g, "");
    },
    labels: (field: keyof Form) => {
      const value = readLabels(text(field));
      if (!value) note(field, t.labels);
      return value ?? {};
    },
  };
}

function readWaves(text: string): number[] | undefined {
  const shares = text
    .split(/[,;\s]+/)
    .filter(Boolean)
    .map((part) => Number(part.replace("%", "")));
  const fine = shares.every(
    (share, at) => Number.isInteger(share) && share >= 1 && share <= 100 && share > (shares[at - 1] ?? 0),
  );
  return fine ? shares : undefined;
}

/** Reads what was typed; what the controller knows better it says itself when it plans. */
export function readForm(form: Form): { strategy: RolloutStrategy; faults: Faults } {
  const read = reader(form);
  const waves = readWaves(form.waves);
  if (!waves) read.note("waves", t.waves);
  const errors = form.errors.trim() ? Number(form.errors.replace(",", ".")) : null;
  if (errors !== null && !(errors >= 0 && errors <= 100)) read.note("errors", t.percent);
  if (
    form.windows.some((window) => !readLabels(window.labels) || !window.from || !window.to || !window.zone)
  ) {
    read.note("windows", t.windows);
  }
  const strategy: RolloutStrategy = {
    canaries: read.whole("canaries", 10_000),
    canary_labels: read.labels("canaryLabels"),
    waves: waves ?? [],
    max_unavailable: read.amount("maxUnavailable"),
    max_failures: read.amount("maxFailures"),
    success_percent: read.whole("success", 100),
    soak_seconds: read.span("soak"),
    deadline_seconds: read.span("deadline"),
    recovery_seconds: read.span("recovery"),
    on_failure: form.onFailure,
    gates: {
      health: form.health,
      max_lag_seconds: form.lag.trim() ? read.span("lag") : null,
      max_error_percent: errors,
      min_rate_percent: read.optional("least", 100_000),
      max_rate_percent: read.optional("most", 100_000),
    },
    windows: form.windows.map(({ labels, days, from, to, zone }) => ({
      labels: readLabels(labels) ?? {},
      days,
      from,
      to,
      time_zone: zone,
    })),
  };
  return { strategy, faults: read.faults };
}

/** The package that was chosen. */
export function packOf(pack: string): RolloutRequest["package"] {
  const at = pack.lastIndexOf("@");
  return at > 0 ? { name: pack.slice(0, at), version: pack.slice(at + 1) } : null;
}

/** Where the wizard begins, by the address that led there. */
export function begin(params: URLSearchParams): Choice {
  const pack = params.get("package") ?? "";
  const kind = pack || params.get("kind") === "package" ? "package" : "policies";
  return {
    kind,
    drafts: params.getAll("draft").filter(Boolean),
    policies: params
      .getAll("policy")
      .filter(Boolean)
      .map((name) => ({ name, to: undefined })),
    pack,
    labels: "",
    description: "",
    preset: "normal",
    form: formOf(presetOf("normal", kind)),
    deleteDrafts: true,
  };
}

let kept: { user: string; choice: Choice } | undefined;

/** Keeps what was chosen while somebody looks at another page. */
export function keep(user: string, choice: Choice | undefined): void {
  kept = choice ? { user, choice } : undefined;
}

/** What was chosen before, by the same user. */
export function keptOf(user: string): Choice | undefined {
  return kept?.user === user ? kept.choice : undefined;
}
