// Runs the published Node client against a server: pages, an unknown table, a wrong password.
// Arguments: host port user password ca-file. Prints one JSON object.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The client is installed elsewhere (target/foreign/node), so it is looked up from there.
const require = createRequire(`${process.env.MUSTER_FOREIGN_NODE}/package.json`);
const { SQLJob } = require("@ibm/mapepire-js");

const [host, port, user, password, caFile] = process.argv.slice(2);
const ca = readFileSync(caFile, "ascii");
const server = (secret) => ({ host, port: Number(port), user, password: secret, ca, rejectUnauthorized: true });

const result = {};
const job = new SQLJob();
result.job = (await job.connect(server(password))).job;

const query = job.query("select * from sample.employee");
let page = await query.execute(10);
const pages = [];
const rows = [];
for (;;) {
  pages.push(page.data.length);
  rows.push(...page.data);
  if (page.is_done) break;
  page = await query.fetchMore(10);
}
await query.close();
result.pages = pages;
result.first = rows[0];

const bonus = await job.query("select count(*) as N from sample.employee where bonus > ?", { parameters: [500] }).execute();
result.bonus = bonus.data[0].N;
result.job_name = (await job.query("values (job_name)").execute()).data[0]["00001"];

const message = (error) => (error instanceof Error ? error.message : JSON.stringify(error));
try {
  await job.query("select * from nolib.notab").execute();
  result.error = "none";
} catch (error) {
  result.error = message(error);
}
await job.close();

try {
  await new SQLJob().connect(server("wrong"));
  result.wrong_password = "accepted";
} catch (error) {
  result.wrong_password = message(error);
}
console.log(JSON.stringify(result));
process.exit(0);
