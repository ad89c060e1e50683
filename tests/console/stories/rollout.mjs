// A rollout of a policy whose destination is not there halts by itself, and says why in the planner's own words; a person
// aborts it.

import { assert, both, given, step, story } from "../story.mjs";

/** Nothing listens there: what runs this policy is unwell. */
const NOWHERE = "127.0.0.1:9";

await story("rollout", async (meet) => {
  const { page, context } = await meet({
    user: "otto",
    password: given.user_password,
  });
  const who = await (await context.request.get("/api/v1/whoami")).json();
  const policy = await (await context.request.get("/api/v1/policies/fleet")).json();
  const bad = policy.text.replace(/address: "[^"]*"/, `address: "${NOWHERE}"`);
  assert(bad !== policy.text, policy.text);
  const saved = await context.request.put("/api/v1/drafts/fleet", {
    data: bad,
    headers: {
      "content-type": "application/yaml",
      "if-none-match": "*",
      "x-muster-csrf": who.csrf_token,
      origin: given.url,
    },
  });
  assert(saved.ok(), await saved.text());

  step("the wizard");
  await page.goto("/rollouts/new?draft=fleet");
  await page.getByRole("heading", { name: "What is rolled out?" }).waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("heading", { name: "Whom is it for?" }).waitFor();
  await page.getByText("3", { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  const fill = async (label, value) => page.getByLabel(label, { exact: true }).fill(value);
  await fill("Soak", "2 s");
  await fill("Deadline for a partition", "30 s");
  await fill("May be unwell for", "1 s");
  await page.getByLabel("When too many fail").selectOption("halt");
  await both(page, "how", "rollout-how");
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("heading", { name: "What will happen" }).waitFor();
  await page.getByRole("button", { name: "Start the rollout" }).waitFor();
  await both(page, "the plan", "rollout-plan");
  await page.getByRole("button", { name: "Start the rollout" }).click();

  step("it halts, and says why");
  await page.getByText("Halted").first().waitFor({ timeout: 60_000 });
  const shown = await (await context.request.get(`/api/v1${new URL(page.url()).pathname}`)).json();
  const words = shown.reason;
  assert(shown.state === "halted" && words, JSON.stringify(shown));
  step(words);
  // Word for word.
  await page.getByText(words, { exact: false }).first().waitFor();
  await both(page, "a halted rollout", "rollout-halted");

  step("a person aborts it, with a reason");
  await page.getByRole("button", { name: "Abort" }).click();
  const dialog = page.getByRole("dialog");
  const reason = dialog.getByLabel("Reason");
  if (await reason.count()) await reason.fill("wrong address");
  await dialog.getByRole("button", { name: "Abort" }).click();
  await page.getByText("Rolled back").first().waitFor({ timeout: 60_000 });
});
