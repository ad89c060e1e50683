// The controller is killed and started again while pages are open: they say that what they show is not live, and are live
// again by themselves, with what happened meanwhile, and without having been loaded anew.

import { ask, assert, both, given, step, story } from "../story.mjs";

/** Somebody at a page that would tell if it were loaded anew. */
async function at(meet, path) {
  const theirs = await meet({ user: "otto", password: given.user_password });
  // What a browser notes of a controller that is away, and of one that is back before its partitions are.
  theirs.expect(/net::ERR_/);
  theirs.expect(/status of 409.*events\/tail/);
  await theirs.page.goto(path);
  await theirs.page.getByRole("banner").getByText("Live", { exact: true }).waitFor();
  await theirs.page.evaluate(() => {
    window.sameAsBefore = true;
  });
  return theirs.page;
}

/** Whether the page is the one that was there before. */
const isSame = (page) => page.evaluate(() => window.sameAsBefore === true);

await story("restart", async (meet) => {
  const fleet = await at(meet, "/fleet");
  const live = await at(meet, "/live");
  const editor = await at(meet, "/policies/fleet/edit");
  const row = fleet.getByRole("row").filter({ has: fleet.getByRole("link", { name: "LPAR01" }) });
  await row.filter({ hasText: "Healthy" }).waitFor();
  await live.getByText("1 partition is looked into").waitFor();
  await editor.locator(".cm-content").waitFor();

  step("the controller is killed: each page says that it is not live, and keeps what it shows");
  await ask({ what: "stop-controller" });
  for (const page of [fleet, live, editor]) {
    await page.getByRole("banner").getByText("Not live: trying again").waitFor();
    await page.getByText("What is shown may be out of date").waitFor();
  }
  await row.waitFor();
  await live.getByText("1 partition is looked into").waitFor({ state: "detached" });
  await both(fleet, "a page that is not live", "not-live");

  step("what is typed meanwhile is kept, and said not to be saved");
  await editor.locator(".cm-content").click();
  await editor.keyboard.press("Control+End");
  await editor.keyboard.insertText("\n# typed while nobody listened\n");
  await editor.keyboard.press("Control+s");
  await editor.getByText("Not saved", { exact: true }).waitFor();

  step("what happens meanwhile");
  await ask({ what: "stop-agent", partition: "LPAR01" });
  await ask({ what: "start-controller" });

  step("they are live again, and tell what happened");
  for (const page of [fleet, live, editor]) {
    await page.getByRole("banner").getByText("Live", { exact: true }).waitFor({ timeout: 45_000 });
    await page.getByText("What is shown may be out of date").waitFor({ state: "detached" });
  }
  await row.filter({ hasText: /Offline|Reconnecting/ }).waitFor({ timeout: 30_000 });
  await editor.getByText("Draft saved").waitFor({ timeout: 30_000 });
  await ask({ what: "start-agent", partition: "LPAR01" });
  await row.filter({ hasText: "Healthy" }).waitFor({ timeout: 30_000 });

  step("events come again");
  await live.getByText("1 partition is looked into").waitFor({ timeout: 30_000 });
  await ask({ what: "inject", partition: "LPAR01", event: "AF, violation A, user MALLORY, PAYROLL/EMP" });
  await live.getByRole("row").filter({ hasText: "MALLORY" }).first().waitFor();

  for (const page of [fleet, live, editor]) assert(await isSame(page), `${page.url()} was loaded anew`);
});
