// An event that was injected is seen live within 3 s, with its raw form and each SIEM format; a filter and a pause hold back
// what they should; an agent that stops is shown as offline, with the reason.

import { ask, assert, both, given, saved, step, story, until } from "../story.mjs";

const SECONDS = 3;

/** Lets an event happen on LPAR01. */
const happen = (user) =>
  ask({ what: "inject", partition: "LPAR01", event: `AF, violation A, user ${user}, PAYROLL/EMP` });

/** Rows of events about somebody. */
const of = (page, user) => page.getByRole("row").filter({ hasText: user });

async function filtered(page) {
  step("a filter stands in the address, and shows only what it says");
  await page.goto("/live");
  await page.getByLabel("Filter", { exact: true }).fill("user=TRENT");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.waitForURL(/TRENT/);
  await page.getByText("2 partitions are looked into").waitFor();
  await happen("SYBIL");
  await happen("TRENT");
  await of(page, "TRENT").first().waitFor();
  assert((await of(page, "SYBIL").count()) === 0, "the filter let another one through");
  await both(page, "a filtered tail", "live-filtered");
  await page.reload();
  await page.getByText("2 partitions are looked into").waitFor();
  assert(
    (await page.getByLabel("Filter", { exact: true }).inputValue()) === "user=TRENT",
    "the filter is gone",
  );

  step("one that has no meaning is refused with the reason, and taken away again");
  await page.getByLabel("Filter", { exact: true }).fill("severity>=loud");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText("The stream was refused").waitFor();
  await both(page, "a filter that was refused");
  await page.getByRole("button", { name: "Remove all" }).click();
  await page.getByText("2 partitions are looked into").waitFor();
}

async function paused(page) {
  step("paused, what comes is counted and not shown; resumed, it is there");
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await happen("PEGGY");
  await page.getByText(/^Paused: [\d,]+ came meanwhile/).waitFor();
  assert((await of(page, "PEGGY").count()) === 0, "it came through the pause");
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  await of(page, "PEGGY").first().waitFor();

  step("what is shown can be saved");
  const file = await saved(page, () => page.getByRole("button", { name: "Download what is shown" }).click());
  const lines = file.text.trim().split("\n");
  assert(
    lines.some((line) => JSON.stringify(JSON.parse(line)).includes("PEGGY")),
    file.text,
  );
}

await story("events", async (meet) => {
  const { page, expect } = await meet({ user: "otto", password: given.user_password });
  // A filter without meaning is refused to the stream, and to who asks why.
  expect(/status of 400/);

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

  await page.keyboard.press("Escape");
  await filtered(page);
  await paused(page);

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
