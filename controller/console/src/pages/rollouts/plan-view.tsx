import {
  InlineNotification,
  Table,
  TableBody,
  TableCell,
  TableContainer,
  TableHead,
  TableHeader,
  TableRow,
} from "@carbon/react";
import type { PlannedPolicy, PolicyFault, RolloutPlan } from "@/api/schema";
import { count } from "@/hooks/format";
import { texts } from "@/texts";

const t = texts.rollouts.plan;

/** What a rollout would do: policies, waves, and the reasons in the planner's own words. */
export function PlanView({ plan }: { plan: RolloutPlan }) {
  return (
    <div className="stack">
      <Faults plan={plan} />
      {plan.policies.policies.length ? <Policies policies={plan.policies.policies} /> : null}
      <Waves plan={plan} />
      {plan.reasons.length ? (
        <div>
          <h3>{t.reasons}</h3>
          <ul className="rollout-waiting">
            {plan.reasons.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </div>
      ) : null}
      <LeftOut plan={plan} />
    </div>
  );
}

/** Faults and warnings of the whole and of each policy. */
function Faults({ plan: { policies } }: { plan: RolloutPlan }) {
  const faults = [...told(policies.faults), ...policies.policies.flatMap((p) => told(p.faults, p))];
  const warnings = [...told(policies.warnings), ...policies.policies.flatMap((p) => told(p.warnings, p))];
  return (
    <>
      {faults.length || !policies.valid ? (
        <InlineNotification kind="error" lowContrast hideCloseButton title={t.invalid}>
          <Lines lines={faults} />
        </InlineNotification>
      ) : null}
      {warnings.length ? (
        <InlineNotification kind="warning" lowContrast hideCloseButton title={t.warnings}>
          <Lines lines={warnings} />
        </InlineNotification>
      ) : null}
    </>
  );
}

function told(faults: PolicyFault[] | undefined, policy?: PlannedPolicy): string[] {
  return (faults ?? []).map(({ line, path, message }) => {
    const where = [policy?.file || policy?.name, line ? t.line(line) : "", path].filter(Boolean).join(", ");
    return where ? `${where}: ${message}` : message;
  });
}

function Lines({ lines }: { lines: string[] }) {
  return (
    <ul className="rollout-lines">
      {[...new Set(lines)].map((line) => (
        <li key={line}>{line}</li>
      ))}
    </ul>
  );
}

function Policies({ policies }: { policies: PlannedPolicy[] }) {
  return (
    <TableContainer>
      <Table size="sm" aria-label={t.policies}>
        <TableHead>
          <TableRow>
            <TableHeader>{t.policy}</TableHeader>
            <TableHeader>{t.action}</TableHeader>
            <TableHeader>{t.selects}</TableHeader>
            <TableHeader>{t.changes}</TableHeader>
          </TableRow>
        </TableHead>
        <TableBody>
          {policies.map((policy, position) => (
            <TableRow key={policy.name || position}>
              <TableCell>{policy.name || policy.file}</TableCell>
              <TableCell>{t.does[policy.action](policy.from)}</TableCell>
              <TableCell>{count(policy.agents)}</TableCell>
              <TableCell>
                {policy.action === "update" ? t.changed(policy.changes?.length ?? 0) : "—"}
              </TableCell>
            </TableRow>
          ))}
        </TableBody>
      </Table>
    </TableContainer>
  );
}

function Waves({ plan }: { plan: RolloutPlan }) {
  if (!plan.waves.length) return <p>{t.nobody}</p>;
  return (
    <TableContainer>
      <Table size="sm" aria-label={t.waves}>
        <TableHead>
          <TableRow>
            <TableHeader>{t.wave}</TableHeader>
            <TableHeader>{t.partitions}</TableHeader>
            <TableHeader>{t.which}</TableHeader>
          </TableRow>
        </TableHead>
        <TableBody>
          {plan.waves.map(({ name, partitions, names }) => (
            <TableRow key={name}>
              <TableCell className="nowrap">{name}</TableCell>
              <TableCell>{count(partitions)}</TableCell>
              <TableCell>
                {names.join(", ")}
                {partitions > names.length ? ` ${t.more(count(partitions - names.length))}` : ""}
              </TableCell>
            </TableRow>
          ))}
        </TableBody>
      </Table>
    </TableContainer>
  );
}

/** Whom a package is not for, though they have its labels. */
export function LeftOut({ plan }: { plan: RolloutPlan }) {
  if (!plan.left_out?.length) return null;
  return (
    <div>
      <h3>{t.leftOut}</h3>
      <ul className="rollout-waiting">
        {plan.left_out.map(({ reason, partitions, names }) => (
          <li key={reason}>
            {`${count(partitions)}: ${reason} `}
            <span className="muted">
              ({names.join(", ")}
              {partitions > names.length ? ` ${t.more(count(partitions - names.length))}` : ""})
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
