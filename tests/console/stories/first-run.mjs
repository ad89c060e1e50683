// The first start: the admin sets a password, is offered to enrol a partition, pastes the shown command, and sees it appear.

import { ask, both, given, step, story } from "../story.mjs";

await story("first-run", async (meet) => {
  const { page } = await meet();
  step("sign in with the password that the first start told");
  await page.goto("/");
  await page.getByLabel("User").fill("admin");
  await page.getByLabel("Password", { exact: true }).fill(given.initial_password);
  await both(page, "sign-in", "sign-in");
  await page.getByRole("button", { name: "Sign in" }).click();

  step("nothing else is there before the password is set");
  await page
    .getByLabel(/new password/i)
    .first()
    .fill(given.password);
  await both(page, "first run", "first-run");
  const again = page.getByLabel(/again|repeat|confirm/i);
  if (await again.count()) await again.first().fill(given.password);
  const present = page.getByLabel(/present|current|first password|one-time/i);
  if (await present.count()) await present.first().fill(given.initial_password);
  await page
    .getByRole("button", { name: /set|password|continue|next/i })
    .last()
    .click();

  step("a partition is enrolled with the shown command");
  await page.getByRole("button", { name: "Show the commands" }).click();
  // The folder where the command is pasted has the partition's configuration already.
  await page.getByLabel("Configuration file on the agent's host").fill("agent.toml");
  const command = await page.getByTestId("enrol-command").innerText();
  await both(page, "the enrol command", "first-run-command");
  const answer = await ask({ what: "shell", partition: "NEWLPAR", command });
  step(answer.out);
  await ask({ what: "start-agent", partition: "NEWLPAR" });

  step("it appears by itself");
  await page.getByText("NEWLPAR").first().waitFor();
  await page.goto("/fleet");
  await page.getByRole("link", { name: "NEWLPAR" }).waitFor();
});
