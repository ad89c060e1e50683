// Who waits is let in or turned away by an approver, who compares fingerprints; with four eyes on, what one publishes is a
// proposal that only another person can approve.

import { accessible, ask, assert, both, given, step, story } from "../story.mjs";

/** A change that nobody could overlook. */
const COMMENT = "# reads are noise here";

/** The row of somebody who asked to be let in. */
const rowOf = (page, name) => page.getByRole("row").filter({ hasText: name });

/** Decides about who waits, with a reason; the fingerprint is in sight while it is asked. */
async function decide(page, name, verb, fingerprint) {
  const row = rowOf(page, name);
  await row.filter({ hasText: fingerprint }).getByRole("button", { name: verb, exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(fingerprint).waitFor();
  await accessible(page, `${verb} ${name}`);
  await dialog.getByLabel("Reason").fill(`seen by Anna: ${verb}`);
  await dialog.getByRole("button", { name: verb, exact: true }).click();
  await dialog.waitFor({ state: "hidden" });
}

/** Proposes the policy of the fleet with a line more; who proposes is at the editor. */
async function propose(page) {
  await page.goto("/policies/fleet/edit");
  const editor = page.locator(".cm-content");
  await editor.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.insertText(`\n${COMMENT}\n`);
  await page.keyboard.press("Control+s");
  await page.getByText("Draft saved").waitFor();
  await page.getByRole("button", { name: "Propose", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("A second person must approve").waitFor();
  await dialog.getByRole("button", { name: "Propose", exact: true }).click();
  await page.getByText("One proposal waits for approval").waitFor();
}

async function enrolments(anna) {
  step("two ask to be let in; the page tells of each by itself");
  await anna.goto("/enrolment");
  await anna.getByRole("tab", { name: "Waiting for approval", exact: true }).waitFor();
  const good = await ask({ what: "ask-to-join", partition: "WELCOME" });
  await anna.getByText("One enrolment waits for approval").waitFor();
  const bad = await ask({ what: "ask-to-join", partition: "STRANGER" });
  await anna.getByText("2 enrolments wait for approval").waitFor();
  await anna.getByRole("button", { name: "Show", exact: true }).click();

  step("one is let in");
  await decide(anna, "WELCOME", "Approve", good);
  await rowOf(anna, "WELCOME").getByText("Approved").waitFor();
  const welcome = await ask({ what: "await-decision", partition: "WELCOME" });
  assert(welcome.in, welcome.told);
  await ask({ what: "run-newcomer", partition: "WELCOME" });

  step("the other is turned away, and told why");
  await decide(anna, "STRANGER", "Deny", bad);
  await rowOf(anna, "STRANGER").getByText("Denied").waitFor();
  const stranger = await ask({ what: "await-decision", partition: "STRANGER" });
  assert(!stranger.in && /denied by anna.*seen by Anna: Deny/s.test(stranger.told), stranger.told);

  step("who was let in is in the fleet, who was not is not");
  await anna.goto("/fleet");
  await anna.getByRole("link", { name: "WELCOME" }).waitFor();
  assert((await anna.getByRole("link", { name: "STRANGER" }).count()) === 0, "STRANGER is in the fleet");
}

/** Switches four eyes; switching it off is a proposal itself. */
async function switchFourEyes(admin, to, told) {
  await admin.goto("/users?tab=four-eyes");
  await admin.getByRole("button", { name: `Switch ${to}`, exact: true }).click();
  await admin
    .getByRole("dialog")
    .getByRole("button", { name: `Switch ${to}`, exact: true })
    .click();
  await admin.getByText(told).first().waitFor();
}

/** The policy in force, to the byte. */
async function inForce({ context }) {
  return (await (await context.request.get("/api/v1/policies/fleet")).json()).text;
}

async function fourEyes(annas, ottos, admins) {
  const [anna, otto, admin] = [annas.page, ottos.page, admins.page];
  step("four eyes are switched on: what an operator publishes is a proposal");
  await switchFourEyes(admin, "on", "Four eyes is on");
  await propose(otto);
  await both(otto, "the list with a proposal");
  assert(!(await inForce(ottos)).includes(COMMENT), "it is in force unapproved");

  step("who proposed it can only take it back");
  await otto.getByRole("button", { name: "See what it would do" }).click();
  await otto.getByText("You proposed this").waitFor();
  assert((await otto.getByRole("button", { name: "Approve" }).count()) === 0, "the own proposal is offered");
  await otto.getByRole("button", { name: "Take back" }).click();
  await otto.getByRole("dialog").getByRole("button", { name: "Take back" }).click();
  await otto.getByRole("heading", { level: 1, name: "Policies" }).waitFor();
  await otto.getByText("One proposal waits for approval").waitFor({ state: "detached" });
  assert(!(await inForce(ottos)).includes(COMMENT), "it is in force though it was taken back");

  step("an approver's own proposal is refused to them, whatever they send");
  await propose(anna);
  annas.expect(/status of 4\d\d/);
  const refused = await anna.evaluate(async () => {
    const who = await (await fetch("/api/v1/whoami")).json();
    const all = await (await fetch("/api/v1/proposals")).json();
    const own = (all.items ?? all).find(({ state }) => state === "pending");
    const answer = await fetch(`/api/v1/proposals/${own.id}/approve`, {
      method: "POST",
      headers: { "x-muster-csrf": who.csrf_token, "content-type": "application/json" },
      body: "{}",
    });
    return { status: answer.status, text: await answer.text() };
  });
  assert(refused.status === 403 || refused.status === 409, JSON.stringify(refused));
  assert(!(await inForce(annas)).includes(COMMENT), "it is in force by its own proposer");

  step("another approver sees what it would do, and approves");
  await admin.goto("/policies");
  await admin.getByText("One proposal waits for approval").waitFor();
  await admin.getByRole("button", { name: "See what it would do" }).click();
  await admin.getByText(COMMENT).first().waitFor();
  await both(admin, "a proposal");
  await admin.getByRole("button", { name: "Approve" }).click();
  await admin.getByRole("dialog").getByLabel("Reason").fill("looked at together");
  await admin.getByRole("dialog").getByRole("button", { name: "Approve" }).click();
  await admin.getByText("Approved and published").first().waitFor();
  assert((await inForce(admins)).includes(COMMENT), "it is not in force");

  step("switching four eyes off waits for another person, too");
  await switchFourEyes(admin, "off", "It was proposed; a second person must approve it");
  await admin
    .getByRole("button", { name: /^Look at the proposal/ })
    .first()
    .click();
  const own = admin.getByRole("dialog");
  await own.getByText("Nobody approves the own proposal").waitFor();
  assert(await own.getByRole("button", { name: /Approve/ }).isDisabled(), "the own proposal can be approved");
  await anna.goto("/users?tab=four-eyes");
  await anna
    .getByRole("button", { name: /^Look at the proposal/ })
    .first()
    .click();
  await anna.getByRole("dialog").getByRole("button", { name: "Approve: it is done" }).click();
  await anna.getByText("Off: one person publishes alone").waitFor();
}

await story("approvals", async (meet) => {
  const annas = await meet({ user: "anna", password: given.user_password });
  await enrolments(annas.page);
  const ottos = await meet({ user: "otto", password: given.user_password });
  const admins = await meet({ user: "admin", password: given.password });
  await fourEyes(annas, ottos, admins);
});
