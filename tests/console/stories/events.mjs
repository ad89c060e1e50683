// An event that was injected is seen live within 3 s, with its raw form and each SIEM format; an agent that stops is shown
// as offline, with the reason.

import { ask, assert, given, step, story, until } from "../story.mjs";

const SECONDS = 3;

await story("events", async (meet) => {
  const { page } = await meet({ user: "otto", password: given.user_password });

  step("the fleet stands");
  await page.goto("/fleet");
  await page.getByRole("link", { name: "LPAR01" }).waitFor();

  step("an event is injected while the live page is open");
  await page.goto("/live");
  await page.getByText("2 partitions are looked into").waitFor();
  const began = Date.now();
  await ask({
    what: "inject",
    partition: "LPAR01",
    event: "AF, violation A, user MALLORY, PAYROLL/EMP",
  });
  const event = page.getByRole("row").filter({ hasText: "MALLORY" });
  await event.first().waitFor();
  const took = (Date.now() - began) / 1_000;
  step(`seen after ${took} s`);
  assert(took < SECONDS, `the event was seen after ${took} s`);

  step("one event with all its forms");
  await event.first().click();
  const detail = page.getByRole("complementary").or(page.getByRole("dialog"));
  for (const format of ["LEEF:2.0|Muster|", "LEEF:1.0|Muster|", "CEF:0|Muster|"]) {
    await detail.getByText(format).first().waitFor({ state: "attached" });
  }

  step("an agent stops");
  await page.goto("/fleet");
  await page.getByRole("link", { name: "LPAR02" }).waitFor();
  await ask({ what: "stop-agent", partition: "LPAR02" });
  const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: "LPAR02" }) });
  await row.filter({ hasText: "Offline" }).filter({ hasText: "nothing is heard of it" }).waitFor();
  await row.getByRole("link", { name: "LPAR02" }).click();
  await page.getByText("Offline").first().waitFor();
  await page
    .getByText(/Nothing is heard of it: the agent was stopped.*systemctl status muster-agent/)
    .waitFor();
  const text = await page.locator("main").innerText();
  assert(/since/i.test(text), `since when it is away is not told: ${text}`);

  step("and comes back");
  await ask({ what: "start-agent", partition: "LPAR02" });
  await until(
    "it is healthy again",
    async () =>
      page
        .getByText("Healthy")
        .first()
        .isVisible()
        .catch(() => false),
    30_000,
  );
});
