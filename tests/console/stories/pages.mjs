// Every page with something on it, light and dark, at a desk and on a tablet: pictures, accessibility, nothing on the browser's
// console. The policy of content security holds.

import { accessible, ask, assert, both, given, picture, step, story } from "../story.mjs";

const PAGES = {
  fleet: "/fleet",
  live: "/live",
  policies: "/policies",
  policy: "/policies/fleet",
  "policy-edit": "/policies/fleet/edit",
  "policy-history": "/policies/fleet/history",
  "policy-status": "/policies/fleet/status",
  rollouts: "/rollouts",
  rollout: "/rollouts/1",
  "rollout-new": "/rollouts/new",
  packages: "/packages",
  package: "/packages?version=9.0.0",
  enrolment: "/enrolment",
  "enrolment-waiting": "/enrolment?tab=waiting",
  "enrolment-foreign": "/enrolment?tab=foreign",
  "enrolment-authority": "/enrolment?tab=authority",
  licence: "/licence",
  users: "/users",
  "users-sessions": "/users?tab=sessions",
  "users-tokens": "/users?tab=tokens",
  "users-four-eyes": "/users?tab=four-eyes",
  "users-roles": "/users?tab=roles",
  "users-backups": "/users?tab=backups",
  audit: "/audit",
  "audit-entry": "/audit?entry=3",
  nowhere: "/nowhere",
};
const TABS = ["", "?tab=sources", "?tab=policy", "?tab=trust", "?tab=changes", "?tab=events"];

/** What only a page that is not empty shows. */
const FULL = {
  policies: "One proposal waits for approval",
  rollouts: "Waiting for a second person",
  rollout: "reads are noise",
  packages: "muster-agent 9.0.0",
  package: "SHA-256 of the file",
  "enrolment-waiting": "NEWLPAR",
  "users-four-eyes": "Pending",
  proposal: "What it would do",
};

/** Until what the page asks for has come. */
async function settled(page, name) {
  await page.getByRole("heading", { level: 1 }).waitFor();
  if (FULL[name]) await page.getByText(FULL[name]).first().waitFor();
  await page.waitForFunction(() => !document.querySelector(".cds--loading, .cds--skeleton"));
  await page.evaluate(() => document.fonts.ready.then(() => undefined));
}

/** Every page with its name, those of one partition and of one proposal among them. */
async function all({ page, context }) {
  await page.getByRole("link", { name: "LPAR01" }).click();
  await page.getByRole("heading", { level: 1, name: "LPAR01" }).waitFor();
  const partition = new URL(page.url()).pathname;
  const proposals = await (await context.request.get("/api/v1/proposals")).json();
  const { id } = (proposals.items ?? proposals).find(({ kind }) => kind === "policy_publish");
  return [
    ...Object.entries(PAGES),
    ["proposal", `/policies/-/proposals/${id}`],
    ...TABS.map((tab) => [`partition${tab.replace("?tab=", "-")}`, `${partition}${tab}`]),
  ];
}

await story("pages", async (meet) => {
  for (let round = 0; round < 20; round += 1) {
    await ask({
      what: "inject",
      partition: round % 2 ? "LPAR02" : "LPAR01",
      event: "AF, violation A, user BOB, PAYROLL/EMP",
    });
  }
  for (const [width, height] of [
    [1440, 900],
    [820, 1180],
  ]) {
    const admin = await meet({ user: "admin", password: given.password, width, height });
    const { page, expect } = admin;
    for (const [name, path] of await all(admin)) {
      step(`${path} ${width}`);
      await page.goto(path);
      await settled(page, name);
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert(wide <= 0, `${path} is ${wide} px wider than the window of ${width}`);
      if (width === 1440) {
        await both(page, path, name);
      } else {
        // How wide a window is changes no colour.
        await picture(page, `${name}-light-${width}`);
        await accessible(page, `${path} ${width}`);
      }
    }
    step("script of others does not run, and no other page may frame this one");
    expect(/Content Security Policy|frame-ancestors|X-Frame-Options/i);
    const ran = await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.stolen = true";
      document.head.append(script);
      return window.stolen === true;
    });
    assert(!ran, "an inline script ran");
  }
});
