// A package is uploaded, planned for agents that cannot take it, which the wizard says, and retired; a policy is rolled out by the
// wizard, paused, resumed and aborted by a person.

import { ask, assert, both, given, step, story } from "../story.mjs";

const TITLE = "muster-agent@9.0.0";
const NAME = "muster-agent 9.0.0";

/** Gives an order to the rollout that is shown, with a reason. */
async function order(page, verb, reason) {
  await page.getByRole("button", { name: verb, exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill(reason);
  await both(page, `${verb} a rollout`);
  await dialog.getByRole("button", { name: new RegExp(`${verb}$`) }).click();
  await dialog.waitFor({ state: "hidden" });
}

/** Where the rollout stands, in the panel above its waves. */
const now = (page, word) =>
  page.getByRole("region", { name: "Where it stands" }).getByText(word, { exact: true });

async function upload(page, expect) {
  step("a file that nobody signed is refused, with the reason");
  await page.goto("/packages");
  await page.getByText("No packages yet").waitFor();
  expect(/status of 4\d\d/);
  const file = page.getByLabel("File of a package");
  await file.setInputFiles({
    name: "forged.muster",
    mimeType: "application/octet-stream",
    buffer: Buffer.from("not a package"),
  });
  await page.getByText("The upload of forged.muster stands").waitFor();
  await both(page, "an upload that was refused", "package-refused");
  await page.getByRole("button", { name: "Close", exact: true }).click();

  step("a signed one is uploaded, verified and listed");
  await file.setInputFiles(await ask({ what: "package" }));
  await page.getByText(`${TITLE} for x86_64-linux is uploaded and verified`).first().waitFor();
  const row = page.getByRole("row").filter({ hasText: NAME });
  await row.filter({ hasText: "Offered" }).waitFor();
  await page.getByRole("complementary").getByRole("heading", { name: TITLE }).waitFor();
  await page.getByText("None yet.").waitFor();
  await both(page, "a package", "package-offered");
}

/** Leads the wizard from what to the plan; `whom` says for whom it is. */
async function planned(page, whom = async () => undefined) {
  await page.getByRole("heading", { name: "What is rolled out?" }).waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("heading", { name: "Whom is it for?" }).waitFor();
  await whom();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("heading", { name: "How does it reach them?" }).waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("heading", { name: "What will happen" }).waitFor();
}

async function plan(page) {
  step("its rollout is planned from there; agents without a launcher are left out, and that is told");
  await page.goto("/packages?version=9.0.0");
  await page.getByRole("button", { name: "Roll out", exact: true }).click();
  await page.getByRole("heading", { name: "What is rolled out?" }).waitFor();
  assert(
    (await page.getByLabel("Version", { exact: true }).inputValue()) === TITLE,
    "the package is not chosen",
  );
  await both(page, "what is rolled out");
  const labels = page.getByLabel("Agents with these labels");
  await planned(page, async () => {
    await labels.fill("site=west");
    await both(page, "whom it is for");
  });
  await page.getByText("cannot upgrade themselves").first().waitFor();
  await page.getByText("(LPAR01)").first().waitFor();
  assert((await page.getByText("LPAR02").count()) === 0, "LPAR02 is in the east");
  await page.getByText("Nothing would change.").waitFor();
  assert(
    await page.getByRole("button", { name: "Start the rollout" }).isDisabled(),
    "nothing can be started",
  );
  await both(page, "a plan for nobody", "rollout-plan-nobody");

  step("Back loses nothing of what was chosen");
  await page.goBack();
  await page.getByRole("heading", { name: "How does it reach them?" }).waitFor();
  await page.goBack();
  await labels.waitFor();
  assert((await labels.inputValue()) === "site=west", "the labels are gone");
}

/** Removes the policy by a rollout whose canary is watched for minutes: it can be paused as long. */
async function start(page) {
  step("an operator starts a rollout that removes the policy");
  await page.goto("/rollouts/new");
  await page.getByRole("combobox", { name: "Add a policy without a draft" }).click();
  await page.getByRole("option", { name: "fleet" }).click();
  await page.getByLabel("fleet, in force: revision 1").selectOption("remove");
  await planned(page);
  await page.getByLabel("Description (optional)").fill("the west first");
  await page.getByRole("button", { name: "Start the rollout" }).click();
  await page.waitForURL(/\/rollouts\/\d+$/);
  await now(page, "Running").waitFor();
}

await story("package", async (meet) => {
  const { page: admin, expect } = await meet({ user: "admin", password: given.password });
  await upload(admin, expect);
  const { page: otto } = await meet({ user: "otto", password: given.user_password });
  await plan(otto);
  await start(otto);

  step("it is paused, resumed and aborted; the log of it says by whom and why");
  await order(otto, "Pause", "month's end");
  await now(otto, "Paused").waitFor();
  await both(otto, "a rollout that is paused", "rollout-paused");
  await order(otto, "Resume", "books are closed");
  await now(otto, "Running").waitFor();
  await order(otto, "Abort", "not that one");
  await now(otto, "Rolled back").waitFor({ timeout: 60_000 });
  for (const reason of ["month's end", "books are closed", "not that one"])
    await otto.getByText(reason).first().waitFor();
  assert((await otto.getByRole("button", { name: "Pause" }).count()) === 0, "what is over can be paused");

  step("the list finds it by its words and its state");
  await otto.goto("/rollouts");
  await otto.getByLabel("Show", { exact: true }).selectOption("rolled_back");
  await otto.getByRole("searchbox").fill("west first");
  await otto.getByRole("link", { name: "Rollout 1" }).waitFor();
  await otto.getByLabel("Show", { exact: true }).selectOption("open");
  await otto.getByText("No rollout matches").waitFor();

  step("retired, it is offered to nobody any more");
  await admin.goto("/packages?version=9.0.0");
  await admin.getByRole("button", { name: "Retire", exact: true }).click();
  const dialog = admin.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("a better one comes");
  await both(admin, "to retire a package");
  await dialog.getByRole("button", { name: /Retire$/ }).click();
  await admin.getByText("by admin: a better one comes").waitFor();
  assert(
    await admin.getByRole("button", { name: "Roll out", exact: true }).isDisabled(),
    "it can be rolled out",
  );
  await otto.goto("/rollouts/new");
  await otto.getByText("A package", { exact: true }).click();
  await otto.getByText("There is no package that can be rolled out.").waitFor();
});
