import type { components } from "./schema";

/** The body of every error of the controller (RFC 9457). */
export type Problem = components["schemas"]["Problem"];

/** A request that the controller refused, or that did not reach it. */
export class ApiError extends Error {
  /** Status; 0 if there was no answer. */
  readonly status: number;
  /** Stable word for the kind of problem, such as `if-match`; `network` if there was no answer. */
  readonly code: string;
  /** Faults of a policy, each with its place. */
  readonly faults: NonNullable<Problem["faults"]>;

  constructor(status: number, code: string, detail: string, faults: NonNullable<Problem["faults"]> = []) {
    super(detail);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.faults = faults;
  }
}

/** Whether asking again is of no use: a refusal stays one, and what did not arrive may arrive yet. */
export function isFinal(error: unknown): boolean {
  return error instanceof ApiError && error.status > 0 && error.status < 500;
}

/** Reads what an answer that is no success says. */
export function problemOf(status: number, body: unknown): ApiError {
  if (typeof body === "object" && body !== null && "type" in body && "detail" in body) {
    const problem = body as Problem;
    return new ApiError(
      status,
      problem.type.replace("urn:muster:problem:", ""),
      problem.detail,
      problem.faults ?? [],
    );
  }
  return new ApiError(status, "unknown", `The controller answered with status ${String(status)}.`);
}

/** What to show of anything that was thrown. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
