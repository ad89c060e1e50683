// What is done to one partition: diagnostics, quarantine and its end, decommission; and the audit log has all of it, is
// searched, exported, and is whole.

import { assert, both, given, saved, step, story, until } from "../story.mjs";

/** Opens the page of a partition. */
async function open(page, name) {
  await page.goto("/fleet");
  await page.getByRole("link", { name }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
  return new URL(page.url()).pathname;
}

/** Chooses an action of the menu; gives its dialog. */
async function act(page, action) {
  await page.getByRole("button", { name: "Actions", exact: true }).click();
  await page.getByRole("menuitem", { name: action }).click();
  return page.getByRole("dialog");
}

/** The state at the head of the page. */
const state = (page, word) => page.locator(".page-head").getByText(word, { exact: true });

async function diagnostics(page) {
  step("the diagnostics bundle is saved, without secrets");
  await page.getByRole("button", { name: "Diagnostics" }).click();
  const dialog = page.getByRole("dialog");
  await both(page, "diagnostics");
  const bundle = await saved(page, () => dialog.getByRole("button", { name: "Download" }).click());
  assert(bundle.name === "muster-diagnostics-LPAR01.json", bundle.name);
  const parts = Object.keys(JSON.parse(bundle.text));
  for (const part of ["configuration", "health", "log"])
    assert(parts.includes(part), `the bundle has no ${part}, but ${parts}`);
  assert(!/PRIVATE KEY/.test(bundle.text), "the bundle has a key");
  await dialog.waitFor({ state: "hidden" });
}

async function quarantine(otto, anna) {
  step("an operator quarantines it; the end of that is an approver's");
  const path = await open(otto, "LPAR01");
  const asked = await act(otto, "Quarantine");
  await asked.getByLabel("Reason").fill("odd sign-ons");
  await both(otto, "quarantine");
  await asked.getByRole("button", { name: /Quarantine$/ }).click();
  await state(otto, "Quarantined").waitFor();
  await otto.getByText("odd sign-ons").first().waitFor();
  await otto.getByRole("button", { name: "Actions", exact: true }).click();
  const release = otto.getByRole("menuitem", { name: "Release from quarantine (needs the role approver)" });
  assert(await release.isDisabled(), "an operator can end it");
  await otto.keyboard.press("Escape");
  await anna.goto(path);
  const over = await act(anna, "Release from quarantine");
  await over.getByLabel("Reason").fill("explained");
  await over.getByRole("button", { name: "Release from quarantine" }).click();
  await state(anna, "Healthy").waitFor();
  step("the other page sees it by itself");
  await state(otto, "Healthy").waitFor();
}

async function decommission(admin) {
  step("only who types its name decommissions a partition");
  const path = await open(admin, "LPAR02");
  const dialog = await act(admin, "Decommission");
  const button = dialog.getByRole("button", { name: /Decommission$/ });
  const name = dialog.getByLabel("Type LPAR02 to confirm");
  await both(admin, "decommission", "decommission");
  assert(await button.isDisabled(), "it needs no name");
  await name.fill("LPAR01");
  await name.press("Enter");
  assert(await button.isDisabled(), "the name of another one is enough");
  await name.fill("LPAR02");
  await dialog.getByLabel("Reason").fill("sold");
  await button.click();
  await admin.waitForURL(/\/fleet$/);
  await admin.getByRole("link", { name: "LPAR02" }).waitFor({ state: "detached" });
  await admin.goto(path);
  await admin.getByText("There is no such partition").waitFor();
  await both(admin, "a partition that is gone");
}

async function audited(page) {
  step("the audit log is searched");
  await page.goto("/audit");
  const form = page.getByRole("form", { name: "Search" });
  await form.getByLabel("Action").fill("agent");
  await form.getByLabel("Text").fill("odd sign-ons");
  await form.getByLabel("Text").press("Enter");
  await page.waitForURL(/search=odd/);
  const rows = page.getByRole("row").filter({ hasText: /agent\./ });
  await until("one entry is found", async () => (await rows.count()) === 1);
  const row = rows.first();
  for (const words of ["otto", "agent.quarantine", "odd sign-ons"])
    await row.filter({ hasText: words }).waitFor();
  await row.click();
  await page.getByText("What changed").waitFor();
  await both(page, "an entry of the audit log", "audit-entry");
  await page.reload();
  await page.getByText("What changed").waitFor();
  await until("the search is there again", async () => (await rows.count()) === 1);

  step("what nobody did is not found");
  await page.goto("/audit?search=nobody-did-this");
  await page.getByText("No entries are found").waitFor();

  step("it is whole");
  await page.goto("/audit");
  await page.getByRole("button", { name: "Verify" }).click();
  await page.getByText("The log is whole").waitFor();
  await both(page, "a verified log", "audit-verified");
  const told = await page.getByText(/^All \d+ entries/).innerText();

  step("the export has every entry, in order");
  const file = await saved(page, () => page.getByRole("link", { name: "Export" }).click());
  assert(file.name === "muster-audit.jsonl", file.name);
  const entries = file.text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const [, number] = /^All (\d+) entries/.exec(told);
  assert(entries.length >= Number(number), `${entries.length} entries, but ${told}`);
  const last = (action) => entries.findLast((entry) => JSON.stringify(entry).includes(`"${action}"`));
  assert(JSON.stringify(last("agent.release")).includes("explained"), JSON.stringify(last("agent.release")));
  assert(
    JSON.stringify(last("agent.decommission")).includes("sold"),
    JSON.stringify(last("agent.decommission")),
  );
}

await story("partition", async (meet) => {
  const { page: otto } = await meet({ user: "otto", password: given.user_password });
  await open(otto, "LPAR01");
  await diagnostics(otto);
  const { page: anna } = await meet({ user: "anna", password: given.user_password });
  await quarantine(otto, anna);
  // Who looks for what is gone is told so by a status, which the browser notes.
  const { page: admin, expect } = await meet({ user: "admin", password: given.password });
  expect(/status of 404/);
  await decommission(admin);
  await audited(admin);
});
