import { Table, TableBody, TableCell, TableContainer, TableHead, TableHeader, TableRow } from "@carbon/react";
import { EmptyState } from "@/components/states";
import { Works } from "@/components/health";
import { Time } from "@/components/time";
import { texts } from "@/texts";
import { DestinationCard } from "./destination-card";
import { HistoryChart } from "./history";
import { useRates, type Agent } from "./queries";
import { SourceCard } from "./source-card";

/** Health and counters may name different parts: each is shown by whichever tells of it. */
function names(told: readonly { name: string }[], counted: readonly { name: string }[]): string[] {
  return [...new Set([...told, ...counted].map(({ name }) => name))];
}

/** Every source and destination: state, why, rates, counters. */
export function Components({ agent }: { agent: Agent }) {
  const t = texts.partition.sources;
  const rates = useRates(agent);
  const all = agent.components ?? [];
  const sources = all.filter(({ kind }) => kind === "source");
  const destinations = all.filter(({ kind }) => kind === "destination");
  const others = all.filter(({ kind }) => kind === "other");
  const sourceNames = names(sources, rates.sources);
  const destinationNames = names(destinations, rates.destinations);
  return (
    <>
      <h2>{t.sources}</h2>
      {sourceNames.length ? null : <EmptyState title={t.sources}>{t.none}</EmptyState>}
      {sourceNames.map((name) => (
        <SourceCard
          key={name}
          name={name}
          component={sources.find((each) => each.name === name)}
          rates={rates.sources.find((each) => each.name === name)}
          flags={agent.summary.flags?.filter((flag) => flag.source === name) ?? []}
        />
      ))}
      <h2>{t.destinations}</h2>
      {destinationNames.length ? null : <EmptyState title={t.destinations}>{t.noDestination}</EmptyState>}
      {destinationNames.map((name) => (
        <DestinationCard
          key={name}
          name={name}
          component={destinations.find((each) => each.name === name)}
          rates={rates.destinations.find((each) => each.name === name)}
        />
      ))}
      <HistoryChart agent={agent.summary.id} />
      <Others parts={others} />
    </>
  );
}

function Others({ parts }: { parts: NonNullable<Agent["components"]> }) {
  const t = texts.partition.sources;
  if (!parts.length) return null;
  return (
    <>
      <h2>{t.others}</h2>
      <TableContainer>
        <Table size="sm" aria-label={t.others}>
          <TableHead>
            <TableRow>
              <TableHeader>{t.component}</TableHeader>
              <TableHeader>{t.state}</TableHeader>
              <TableHeader>{t.sinceHead}</TableHeader>
              <TableHeader>{t.reason}</TableHeader>
            </TableRow>
          </TableHead>
          <TableBody>
            {parts.map((part) => (
              <TableRow key={part.name}>
                <TableCell>{part.name}</TableCell>
                <TableCell>
                  <Works healthy={part.healthy} word={part.status ?? ""} />
                </TableCell>
                <TableCell>
                  <Time at={part.since} relative />
                </TableCell>
                <TableCell className="reason">{part.reason}</TableCell>
              </TableRow>
            ))}
          </TableBody>
        </Table>
      </TableContainer>
    </>
  );
}
