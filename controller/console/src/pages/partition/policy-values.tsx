import {
  Search,
  Table,
  TableBody,
  TableCell,
  TableContainer,
  TableHead,
  TableHeader,
  TableRow,
} from "@carbon/react";
import { useState } from "react";
import { Link } from "wouter";
import type { components } from "@/api/schema";
import { texts } from "@/texts";

type Value = components["schemas"]["ValueOrigin"];

/** Every value of the merged policy with the document that set it, and what that overrode. */
export function PolicyValues({ values }: { values: readonly Value[] }) {
  const t = texts.partition.policy;
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const shown = values.filter((each) => !wanted || searched(each).includes(wanted));
  if (!values.length) return null;
  return (
    <section aria-labelledby="policy-values">
      <h2 id="policy-values">{t.values}</h2>
      <Search
        size="sm"
        className="values-search"
        labelText={t.search}
        placeholder={t.search}
        value={search}
        onChange={(event) => setSearch(event.target.value)}
      />
      {shown.length ? <Values values={shown} /> : <p>{t.noMatch}</p>}
    </section>
  );
}

function searched({ path, value, document }: Value): string {
  return `${path} ${written(value)} ${document}`.toLowerCase();
}

/** A value as a person writes it. */
function written(value: unknown): string {
  if (value === undefined || value === null) return texts.partition.policy.left;
  return typeof value === "string" ? value : JSON.stringify(value);
}

function Values({ values }: { values: readonly Value[] }) {
  const t = texts.partition.policy;
  return (
    <TableContainer>
      <Table size="sm" aria-label={t.values}>
        <TableHead>
          <TableRow>
            <TableHeader>{t.path}</TableHeader>
            <TableHeader>{t.value}</TableHeader>
            <TableHeader>{t.setBy}</TableHeader>
            <TableHeader>{t.overrode}</TableHeader>
          </TableRow>
        </TableHead>
        <TableBody>
          {values.map((each) => (
            <TableRow key={each.path}>
              <TableCell className="mono">{each.path.replace(/^spec\./, "")}</TableCell>
              <TableCell className="mono wrapped">{written(each.value)}</TableCell>
              <TableCell>
                <Origin {...each} />
              </TableCell>
              <TableCell>
                {each.overrode?.map((other) => (
                  <div key={`${other.document}@${String(other.revision)}`}>
                    <span className="mono wrapped">{written(other.value)}</span> <Origin {...other} />
                  </div>
                ))}
              </TableCell>
            </TableRow>
          ))}
        </TableBody>
      </Table>
    </TableContainer>
  );
}

function Origin(origin: { document: string; revision: number; priority: number }) {
  const name = `${origin.document}@${String(origin.revision)}`;
  return (
    <Link
      className="cds--link"
      title={texts.partition.policy.priority(origin.priority)}
      href={`/policies/${encodeURIComponent(origin.document)}`}
    >
      {name}
    </Link>
  );
}
