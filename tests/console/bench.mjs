// How fast and how light the console is with a large fleet: `muster-bench console` starts the controller and its agents, and
// gives `url`, `user`, `password`, `live_seconds`, `bundle` (the folder of the built console), `names` (of partitions to
// search for).

import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { launch, open, signIn } from "./browser.mjs";
import { given, picture, step } from "./story.mjs";

const ROUNDS = 5;

const result = (name, value) => process.stdout.write(`RESULT ${name} ${value}\n`);
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const ROWS = '[role="rowgroup"] [role="row"]';

/** Compressed size of all that the console may ever load, fonts apart. */
function bundle(folder) {
  const files = readdirSync(folder, { recursive: true }).map((name) => path.join(folder, name));
  const sizeOf = (file) => {
    const compressed = files.includes(`${file}.br`) ? `${file}.br` : file;
    return statSync(compressed).size;
  };
  const parts = files.filter((file) => /\.(js|css|html|svg)$/.test(file));
  return parts.map(sizeOf).reduce((sum, size) => sum + size, 0);
}

/** A fresh page with an empty cache and the session of `state`, until the first rows of the fleet stand. */
async function firstLoad(browser, state) {
  const context = await browser.newContext({
    baseURL: given.url,
    ignoreHTTPSErrors: true,
    storageState: state,
  });
  const page = await context.newPage();
  // Some browsers keep what they loaded for other contexts; this one must load all.
  const client = await context.newCDPSession(page);
  await client.send("Network.setCacheDisabled", { cacheDisabled: true });
  await page.goto("/fleet", { waitUntil: "commit" });
  await page.locator(ROWS).nth(5).waitFor();
  const seen = await page.evaluate(() => {
    const entries = [
      ...performance.getEntriesByType("navigation"),
      ...performance.getEntriesByType("resource"),
    ];
    const shown = entries.filter((entry) => !/\.woff2|\/api\//.test(entry.name));
    return {
      ready: performance.now(),
      bytes: shown.reduce((sum, entry) => sum + entry.encodedBodySize, 0),
    };
  });
  await context.close();
  return seen;
}

/** From the last key until the list shows what was searched for, as the page itself sees it. */
async function filterTime(page, text) {
  const search = page.getByRole("searchbox");
  await search.fill("");
  await page.waitForFunction((rows) => document.querySelectorAll(rows).length > 5, ROWS);
  await search.pressSequentially(text.slice(0, -1));
  const took = page.evaluate(
    ([rows, wanted]) =>
      new Promise((resolve) => {
        let began;
        addEventListener("input", () => (began = performance.now()), {
          capture: true,
          once: true,
        });
        const look = () => {
          const shown = [...document.querySelectorAll(rows)].filter((row) => row.textContent.trim() !== "");
          if (began !== undefined && shown.length === 1 && shown[0].textContent.includes(wanted)) {
            requestAnimationFrame(() => resolve(performance.now() - began));
          } else requestAnimationFrame(look);
        };
        look();
      }),
    [ROWS, text],
  );
  await search.press(text.slice(-1));
  return took;
}

const browser = await launch();
try {
  const { page, context, faults, expect } = await open(browser, given);
  expect(/401.*whoami/);
  await signIn(page, given.user, given.password);
  await page.locator(ROWS).nth(5).waitFor();
  const state = await context.storageState();

  const loads = [];
  for (let round = 0; round < ROUNDS; round += 1) loads.push(await firstLoad(browser, state));
  result("console_first_load_kb", Math.round(loads[0].bytes / 1_000));
  result("console_bundle_kb", Math.round(bundle(given.bundle) / 1_000));
  step(`ready: ${loads.map(({ ready }) => Math.round(ready)).join(" ")} ms`);
  result("console_fleet_ready_ms", Math.round(median(loads.map(({ ready }) => ready))));

  const filters = [];
  for (const name of given.names) filters.push(await filterTime(page, name));
  step(`filter: ${filters.map(Math.round).join(" ")} ms`);
  result("console_filter_ms", Math.round(Math.max(...filters)));

  // Live: the test changes the fleet meanwhile.
  await page.getByRole("searchbox").fill("");
  await page.locator(ROWS).nth(5).waitFor();
  const client = await context.newCDPSession(page);
  const used = async () => (await client.send("Runtime.getHeapUsage")).usedSize / 1e6;
  const heaps = [];
  process.stdout.write(`ASK ${JSON.stringify({ what: "live" })}\n`);
  const end = Date.now() + given.live_seconds * 1_000;
  while (Date.now() < end) {
    await page.waitForTimeout(Math.min(5_000, Math.max(0, end - Date.now())));
    heaps.push(await used());
  }
  step(
    `heap: ${heaps
      .filter((_, i) => i % 12 === 0)
      .map(Math.round)
      .join(" ")} MB`,
  );
  result("console_heap_mb", Math.round(Math.max(...heaps)));
  await picture(page, "fleet-large");
  await client.send("HeapProfiler.collectGarbage");
  step(`after a collection: ${Math.round(await used())} MB`);
  if (faults.length > 0) throw new Error(faults.join("\n"));
} finally {
  await browser.close();
}
process.exit(0);
