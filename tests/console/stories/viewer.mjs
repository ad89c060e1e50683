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
/** What a button that changes something begins with. */
const CHANGES =
  /^(new|create|make|publish|propose|save|delete|remove|revert|upload|retire|roll out|start|pause|resume|abort|approve|deny|reject|take back|install|declare|choose|replace|finish|switch|enrol|announce|quarantine|revoke|decommission|restart|edit|discard)\b/i;
/** What a viewer may do: own sessions, tokens and password. */
const OWN = { "/users": /token|session|password/i };

/** Until what is asked for has come. */
async function settled(page) {
  await page.waitForFunction(() => !document.querySelector(".cds--loading, .cds--skeleton"));
}

/** Nothing in view changes anything, not even a button that cannot be pressed: what a role may not do is not offered. */
async function offersNothing(page, path, where) {
  for (const button of await page.locator("main").getByRole("button").all()) {
    const name = ((await button.getAttribute("aria-label")) ?? (await button.innerText())).trim();
    assert(!CHANGES.test(name) || OWN[path]?.test(name), `${where} offers a viewer “${name}”`);
  }
}

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
    await settled(page);
    await offersNothing(page, path, path);
    await accessible(page, path);
    // The tabs of the page are the first; what switches a chart is not theirs.
    const tabs = page.locator("main").getByRole("tablist").first().getByRole("tab");
    for (let at = 1; at < (await tabs.count()); at += 1) {
      const name = (await tabs.nth(at).innerText()).trim();
      step(`${path}, ${name}`);
      await tabs.nth(at).click();
      await settled(page);
      await offersNothing(page, path, `${path}, ${name},`);
    }
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
