// A viewer sees and can change nothing: no page offers a change, and what is sent all the same is refused.

import { accessible, assert, given, step, story } from "../story.mjs";

const PAGES = [
  "/fleet",
  "/policies",
  "/policies/fleet",
  "/rollouts",
  "/packages",
  "/enrolment",
  "/licence",
  "/users",
  "/audit",
];
// What a viewer may do: own session and password, looking, and what changes nothing.
const CHANGES =
  /^(new|create|make|publish|save|delete|remove|revert|upload|retire|start|pause|resume|abort|approve|deny|reject|install|quarantine|decommission|restart|edit|discard)\b/i;

await story("viewer", async (meet) => {
  const { page, context, expect } = await meet({
    user: "vera",
    password: given.user_password,
  });
  await page.getByRole("link", { name: "LPAR01" }).click();
  await page.getByRole("heading", { level: 1, name: "LPAR01" }).waitFor();
  const partition = new URL(page.url()).pathname;

  for (const path of [...PAGES, partition]) {
    step(path);
    await page.goto(path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.waitForFunction(() => !document.querySelector(".cds--loading"));
    for (const button of await page.locator("main").getByRole("button").all()) {
      const name = ((await button.getAttribute("aria-label")) ?? (await button.innerText())).trim();
      if (!CHANGES.test(name) || /token|password/i.test(name)) continue;
      assert(await button.isDisabled(), `${path} offers a viewer “${name}”`);
    }
    await accessible(page, path);
  }

  step("what is sent all the same is refused");
  expect(/status of 403/);
  const refused = await page.evaluate(async () => {
    const who = await (await fetch("/api/v1/whoami")).json();
    const answer = await fetch("/api/v1/policies/fleet", {
      method: "DELETE",
      headers: { "x-muster-csrf": who.csrf_token },
    });
    return { status: answer.status, body: await answer.json() };
  });
  assert(refused.status === 403 && /operator/.test(refused.body.detail), JSON.stringify(refused));

  step("a change without the token against forgery is refused, whoever sends it");
  const { context: admins } = await meet({
    user: "admin",
    password: given.password,
  });
  const forged = await admins.request.post("/api/v1/policies", {
    data: "x",
    headers: { origin: given.url },
  });
  assert(forged.status() === 403, `status ${forged.status()}`);
  const cookies = await context.cookies();
  assert(
    cookies.every(({ httpOnly, secure, sameSite }) => httpOnly && secure && sameSite === "Strict"),
    JSON.stringify(cookies),
  );
});
