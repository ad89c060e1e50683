// The table of the fleet: searched, filtered, sorted, grouped, its columns chosen, all of it in the address or the browser and
// there again after a reload; many changed at once, and the whole of it as a file.

import { assert, both, given, saved, step, story, until } from "../story.mjs";

const NAMES = ["LPAR01", "LPAR02", "LPAR03"];

/** Names of the rows from the top. */
async function names(page) {
  const links = page.getByRole("rowheader").getByRole("link");
  const rows = await links.evaluateAll((all) =>
    all.map((link) => [link.getBoundingClientRect().top, link.textContent]),
  );
  return rows.sort(([a], [b]) => a - b).map(([, name]) => name);
}

/** Until the rows are these, in this order. */
async function shows(page, ...wanted) {
  let last = [];
  await until(`the rows are ${wanted}`, async () => {
    last = await names(page);
    return String(last) === String(wanted);
  }).catch((error) => {
    throw new Error(`${error.message}; they are ${last}`);
  });
}

/** The same is shown after the page was loaded anew. */
async function lasts(page, ...wanted) {
  await page.reload();
  await shows(page, ...wanted);
}

const menu = (page, name) => page.getByRole("button", { name, exact: true });
const head = (page, name) => page.getByRole("columnheader", { name, exact: true });

async function found(page) {
  step("a search stands in the address, and is there again");
  await page.getByRole("searchbox", { name: "Search partitions" }).fill("lpar02");
  await page.waitForURL(/search=lpar02/);
  await shows(page, "LPAR02");
  await lasts(page, "LPAR02");
  assert(
    (await page.getByRole("searchbox", { name: "Search partitions" }).inputValue()) === "lpar02",
    "the field is empty",
  );
  await page.getByRole("button", { name: "Clear all filters" }).click();
  await shows(page, ...NAMES);

  step("so does a filter, and Back takes it away");
  await menu(page, "Filters").click();
  const filters = page.getByRole("dialog", { name: "Filters" });
  await filters.getByLabel("Label", { exact: true }).selectOption("site");
  await filters.getByLabel("Value of the label").selectOption("west");
  await both(page, "filters", "fleet-filters");
  await page.keyboard.press("Escape");
  await page.waitForURL(/label=site/);
  await lasts(page, "LPAR01", "LPAR03");
  await page
    .getByRole("group", { name: "Filters in force" })
    .getByText("Label: site=west", { exact: true })
    .waitFor();
  await page.goBack();
  await shows(page, ...NAMES);

  step("what matches nothing says so, and how to see more");
  await page.getByRole("searchbox", { name: "Search partitions" }).fill("no such partition");
  await page.getByText("No partition matches").waitFor();
  await both(page, "nothing matches");
  await page.getByRole("button", { name: "Clear all filters" }).first().click();
  await shows(page, ...NAMES);
}

async function arranged(page) {
  step("sorted");
  await head(page, "Name").getByRole("button").click();
  await shows(page, ...NAMES.toReversed());
  await lasts(page, ...NAMES.toReversed());
  assert((await head(page, "Name").getAttribute("aria-sort")) === "descending", "it does not say so");
  await head(page, "Name").getByRole("button").click();
  await shows(page, ...NAMES);

  step("columns");
  await menu(page, "Columns").click();
  const columns = page.getByRole("dialog", { name: "Columns" });
  await columns.getByText("OS release", { exact: true }).click();
  await columns.getByText("Label site", { exact: true }).click();
  await both(page, "the choice of columns", "fleet-columns");
  await page.keyboard.press("Escape");
  for (const again of [false, true]) {
    if (again) await page.reload();
    await head(page, "Label site").waitFor();
    assert((await head(page, "OS release").count()) === 0, `OS release is there, loaded anew: ${again}`);
  }

  step("grouped by a label; a group opens");
  await page.getByLabel("Group by").selectOption("label:site");
  const west = page.getByRole("row").filter({ hasText: "west" }).filter({ hasText: "2 partitions" });
  await west.click();
  await shows(page, "LPAR01", "LPAR03");
  await both(page, "groups", "fleet-groups");
  await lasts(page, "LPAR01", "LPAR03");
  await page.getByLabel("Group by").selectOption("");
  await shows(page, ...NAMES);
}

/** Chooses all that match, and an action for them. */
async function allOf(page, action) {
  await page.getByLabel("Select all that match").click();
  const bar = page.getByRole("region", { name: "Selection" });
  await bar.getByRole("button", { name: "Actions" }).click();
  await page.getByRole("menuitem", { name: action, exact: true }).click();
  return page.getByRole("dialog");
}

async function changed(page, context) {
  step("a label for two of three");
  await page.goto("/fleet?label=site%3Dwest");
  await shows(page, "LPAR01", "LPAR03");
  const label = await allOf(page, "Set label");
  await label.getByText("LPAR01, LPAR03.").waitFor();
  await label.getByLabel("Key").fill("ring");
  await label.getByLabel("Value").fill("first");
  await both(page, "a label for many");
  await label.getByRole("button", { name: "Set label", exact: true }).click();
  await label.getByText("Done for 2 partitions.").waitFor();
  await label.getByRole("button", { name: "Close", exact: true }).last().click();
  await page.goto("/fleet?label=ring%3Dfirst");
  await shows(page, "LPAR01", "LPAR03");

  step("the two are quarantined, for a reason that stays");
  const quarantine = await allOf(page, "Quarantine");
  await quarantine.getByLabel("Reason").fill("looked into");
  await quarantine.getByRole("button", { name: /Quarantine$/ }).click();
  await quarantine.getByText("Done for 2 partitions.").waitFor();
  await quarantine.getByRole("button", { name: "Close", exact: true }).last().click();
  await page.goto("/fleet?state=quarantined");
  await shows(page, "LPAR01", "LPAR03");
  const { items } = await (await context.request.get("/api/v1/audit?action=agent.quarantine")).json();
  assert(
    items.length === 2 && items.every(({ detail }) => detail.includes("looked into")),
    JSON.stringify(items),
  );
}

async function exported(page) {
  step("the file has what is shown, and no more");
  const part = await saved(page, () => page.getByRole("link", { name: "Export CSV" }).click());
  assert(part.name.endsWith(".csv"), part.name);
  const lines = part.text.trim().split(/\r?\n/);
  const columns = lines[0].split(",");
  const at = (name) => columns.findIndex((column) => column === name);
  assert(at("name") >= 0 && at("state") >= 0, lines[0]);
  const rows = lines.slice(1).map((line) => line.split(","));
  assert(String(rows.map((row) => row[at("name")])) === "LPAR01,LPAR03", part.text);
  assert(
    rows.every((row) => row[at("state")] === "quarantined"),
    part.text,
  );
  assert(part.text.includes("ring=first"), part.text);
}

await story("fleet", async (meet) => {
  const { page, context } = await meet({ user: "otto", password: given.user_password });
  await page.goto("/fleet");
  await shows(page, ...NAMES);
  await found(page);
  await arranged(page);
  await changed(page, context);
  await exported(page);
});
