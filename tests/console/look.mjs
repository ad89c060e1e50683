// Takes a picture of pages, for whoever works on the console:
//   node look.mjs URL USER PASSWORD OUT-FOLDER [--dark] [--width N] /fleet /policies …
// and tells errors on the console and faults of accessibility.

import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { inaccessible, launch, open, signIn } from "./browser.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dark: { type: "boolean" },
    width: { type: "string", default: "1440" },
  },
});
const [url, user, password, folder, ...paths] = positionals;
const theme = values.dark ? "dark" : "light";
mkdirSync(folder, { recursive: true });
const browser = await launch();
try {
  const { page, faults, expect } = await open(browser, {
    url,
    theme,
    width: Number(values.width),
  });
  expect(/401/);
  await signIn(page, user, password);
  for (const path of paths) {
    await page.goto(path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    // What is asked for as soon as the page stands; live streams never end, so no waiting for silence of the network.
    await page.waitForFunction(() => !document.querySelector(".cds--loading"));
    await page.waitForTimeout(700);
    const name = path.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "") || "home";
    await page.screenshot({
      path: `${folder}/${name}-${theme}.png`,
      fullPage: true,
    });
    process.stdout.write(`${path}: ${folder}/${name}-${theme}.png\n`);
    for (const fault of await inaccessible(page)) process.stdout.write(`  a11y: ${fault}\n`);
    for (const fault of faults.splice(0)) process.stdout.write(`  console: ${fault}\n`);
  }
} finally {
  await browser.close();
}
