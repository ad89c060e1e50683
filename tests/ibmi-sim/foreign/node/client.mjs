// Runs the published Node client against a server: pages, bytes, a batch, a command, an unknown table, a wrong
// password.
// Arguments: host port user password ca-file bytes (as the server takes them as a parameter). Prints one JSON object.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The client is installed elsewhere (target/foreign/node), so it is looked up from there.
const require = createRequire(`${process.env.MUSTER_FOREIGN_NODE}/package.json`);
const { SQLJob } = require("@ibm/mapepire-js");

const [host, port, user, password, caFile, data] = process.argv.slice(2);
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

result.bytes = (await job.query("select x'C1C2' as B from sysibm.sysdummy1").execute()).data[0].B;
const batch = { parameters: [[1, "a"], [2, "b"], [3, "c"]] };
result.inserted = (await job.query("insert into sample.notes (id, text) values (?, ?)", batch).execute()).update_count;
const one = { parameters: [4, data] };
await job.query("insert into sample.notes (id, data) values (?, ?)", one).execute();
result.written = (await job.query("select hex(data) as H from sample.notes where id = 4").execute()).data[0].H;
const command = await job.query("DSPLIBL", { isClCommand: true }).execute();
result.command = { success: command.success, columns: Object.keys(command.data[1]).length };
result.failed_command = (await job.query("NOSUCH", { isClCommand: true }).execute()).data[2].MESSAGE_ID;

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
