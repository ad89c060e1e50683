import {
  Accordion,
  AccordionItem,
  InlineNotification,
  Table,
  TableBody,
  TableCell,
  TableContainer,
  TableHead,
  TableHeader,
  TableRow,
} from "@carbon/react";
import { Time } from "@/components/time";
import type { components } from "@/api/schema";
import { count } from "@/hooks/format";
import { texts } from "@/texts";

const t = texts.policies.effects;
type Asked = components["schemas"]["PreviewEvents"];
type Report = components["schemas"]["PreviewView"];
type Sample = components["schemas"]["PreviewSampleView"];

/** What a partition says a policy would do to the events that it has in memory. */
export function EventEffects({ of }: { of: Asked }) {
  if (!of.report) {
    return (
      <InlineNotification
        kind="info"
        lowContrast
        hideCloseButton
        title={t.silent(of.agent)}
        subtitle={of.problem ?? ""}
      />
    );
  }
  return <Told agent={of.agent} report={of.report} />;
}

function Told({ agent, report }: { agent: string; report: Report }) {
  const figures = [
    [t.newlyDropped, report.newly_dropped],
    [t.newlyKept, report.newly_kept],
    [t.rerouted, report.rerouted],
    [t.keptNow, report.kept_now],
    [t.keptThen, report.kept_then],
  ] as const;
  const rules = [
    ...Object.entries(report.dropped_by_rule ?? {}).map(([rule, number]) => t.droppedBy(count(number), rule)),
    ...Object.entries(report.kept_from_rule ?? {}).map(([rule, number]) => t.keptFrom(count(number), rule)),
  ];
  return (
    <div className="told">
      <h4>{t.events(count(report.events), agent)}</h4>
      <div className="tiles">
        {figures.map(([label, number]) => (
          <div key={label} className="figure">
            <div className="label">{label}</div>
            <div className="value">{count(number)}</div>
          </div>
        ))}
      </div>
      {rules.length > 0 ? (
        <ul className="reasons">
          {rules.map((rule) => (
            <li key={rule}>{rule}</li>
          ))}
        </ul>
      ) : null}
      {(report.samples ?? []).length > 0 ? (
        <Accordion align="start" size="sm">
          <AccordionItem title={t.samples(agent, (report.samples ?? []).length)}>
            <Samples of={report.samples ?? []} label={t.samples(agent, (report.samples ?? []).length)} />
          </AccordionItem>
        </Accordion>
      ) : (
        <p className="muted">{t.noSamples}</p>
      )}
    </div>
  );
}

function Samples({ of, label }: { of: readonly Sample[]; label: string }) {
  return (
    <TableContainer className="changes">
      <Table size="sm" aria-label={label}>
        <TableHead>
          <TableRow>
            <TableHeader>{t.columns.change}</TableHeader>
            <TableHeader>{t.columns.rule}</TableHeader>
            <TableHeader>{t.columns.time}</TableHeader>
            <TableHeader>{t.columns.event}</TableHeader>
            <TableHeader className="number">{t.columns.severity}</TableHeader>
            <TableHeader>{t.columns.fields}</TableHeader>
          </TableRow>
        </TableHead>
        <TableBody>
          {of.map(({ change, rule, event }) => (
            <TableRow key={event.id}>
              <TableCell>{t.sample(change)}</TableCell>
              <TableCell className="mono">{rule}</TableCell>
              <TableCell>
                <Time at={event.time} />
              </TableCell>
              <TableCell>
                {event.event} {event.name}
              </TableCell>
              <TableCell className="number">{event.severity}</TableCell>
              <TableCell className="mono">{fieldsOf(event.fields ?? {})}</TableCell>
            </TableRow>
          ))}
        </TableBody>
      </Table>
    </TableContainer>
  );
}

/** Fields in one line, without the raw form. */
function fieldsOf(fields: Record<string, string>): string {
  return Object.entries(fields)
    .filter(([name]) => name !== "raw")
    .slice(0, 8)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}
