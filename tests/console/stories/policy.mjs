// A policy is edited with help, previewed, published and reverted; the session ends in the middle and nothing is lost.

import { assert, both, given, step, story, until } from "../story.mjs";

const RULE = "rules:\n  - {name: no-reads, match: {entry_types: [ZR]}, action: drop}";

/** The editor lies in a shadow root, which Playwright looks into. */
const editor = (page) => page.locator(".cm-content");
const text = (page) => page.locator(".cm-content").innerText();

async function append(page, more) {
  await editor(page).click();
  await page.keyboard.press("Control+End");
  await page.keyboard.press("Enter");
  // As it would be pasted: the editor's own indentation stays out.
  await page.keyboard.insertText(more.replace(/^/gm, "  "));
}

await story("policy", async (meet) => {
  const { page, context, expect } = await meet({
    user: "otto",
    password: given.user_password,
  });

  step("edit: keys are completed from the schema, faults are marked");
  await page.goto("/policies/fleet/edit");
  await editor(page).waitFor();
  await editor(page).click();
  await page.keyboard.press("Control+End");
  await page.keyboard.press("Enter");
  await page.keyboard.type("  rul");
  await page.keyboard.press("Control+Space");
  await page.locator(".cm-tooltip-autocomplete").getByText("rules").first().waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.type("z: 1");
  await page
    .getByText(/It cannot be published as it stands|1 fault/)
    .first()
    .waitFor();
  await both(page, "the editor with a fault");
  for (let times = 0; times < 8; times += 1) await page.keyboard.press("Backspace");

  step("the session ends; what was typed is kept");
  await append(page, RULE);
  expect(/status of 401/);
  expect(/api\/v1\/events/);
  const cookies = await context.cookies();
  const who = await (await context.request.get("/api/v1/whoami")).json();
  const ended = await context.request.post("/api/v1/logout", {
    headers: { "x-muster-csrf": who.csrf_token, origin: given.url },
  });
  assert(ended.status() === 204, `the session did not end: ${ended.status()}`);
  // Signed out elsewhere: the browser still holds what is worth nothing any more.
  await context.addCookies(cookies);
  await page.keyboard.press("Control+s");
  await page.getByRole("dialog").getByText("Your session has ended").waitFor();
  await both(page, "signing in again");
  await page.getByRole("dialog").getByLabel("Password", { exact: true }).fill(given.user_password);
  await page.getByRole("dialog").getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert((await text(page)).includes("no-reads"), "what was typed is gone");
  await editor(page).click();
  await page.keyboard.press("Control+s");
  await page.getByText("Draft saved").waitFor();

  step("effects: which partitions change, and how");
  await page.getByText("Effects", { exact: true }).first().click();
  await page.getByText(/2 partitions would run another policy/).waitFor();
  await both(page, "effects");

  step("publish");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await page.getByRole("dialog").getByLabel("Comment (optional)").fill("reads are noise here");
  await page.getByRole("dialog").getByRole("button", { name: "Publish", exact: true }).click();
  await page
    .getByText(/published as revision 2/)
    .first()
    .waitFor();
  await page.goto("/policies/fleet/history");
  await page.getByRole("row").filter({ hasText: "In force" }).filter({ hasText: "2" }).waitFor();

  await page.getByText("reads are noise here").waitFor();

  step("revert");
  await page.getByRole("button", { name: "Revert to this" }).first().click();
  await page
    .getByRole("dialog")
    .getByRole("button", { name: /^Revert/ })
    .last()
    .click();
  await until("revision 3 is in force", async () => {
    const policy = await (await context.request.get("/api/v1/policies/fleet")).json();
    return policy.revision.revision === 3;
  });
  const reverted = await (await context.request.get("/api/v1/policies/fleet")).json();
  assert(!reverted.text.includes("no-reads"), reverted.text);
});
