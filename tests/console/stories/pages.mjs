// Every page, light and dark, at a desk and on a tablet: pictures, accessibility, nothing on the browser's console. The policy
// of content security holds.

import { accessible, ask, assert, given, picture, step, story } from "../story.mjs";

const PAGES = {
  fleet: "/fleet",
  live: "/live",
  policies: "/policies",
  policy: "/policies/fleet",
  "policy-edit": "/policies/fleet/edit",
  "policy-history": "/policies/fleet/history",
  "policy-status": "/policies/fleet/status",
  rollouts: "/rollouts",
  "rollout-new": "/rollouts/new",
  packages: "/packages",
  enrolment: "/enrolment",
  licence: "/licence",
  users: "/users",
  audit: "/audit",
  nowhere: "/nowhere",
};

/** Until what the page asks for has come. */
async function settled(page) {
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.waitForFunction(() => !document.querySelector(".cds--loading, .cds--skeleton"));
  await page.evaluate(() => document.fonts.ready.then(() => undefined));
}

await story("pages", async (meet) => {
  for (let round = 0; round < 20; round += 1) {
    await ask({
      what: "inject",
      partition: round % 2 ? "LPAR02" : "LPAR01",
      event: "AF, violation A, user BOB, PAYROLL/EMP",
    });
  }
  for (const [theme, width] of [
    ["light", 1440],
    ["dark", 1440],
    ["light", 820],
  ]) {
    const who = {
      user: "admin",
      password: given.password,
      theme,
      width,
      height: width === 820 ? 1180 : 900,
    };
    const { page, expect } = await meet(who);
    await page.getByRole("link", { name: "LPAR01" }).click();
    await page.getByRole("heading", { level: 1, name: "LPAR01" }).waitFor();
    const partition = new URL(page.url()).pathname;
    const tabs = ["", "?tab=sources", "?tab=policy", "?tab=trust", "?tab=changes", "?tab=events"];
    const all = [
      ...Object.entries(PAGES),
      ...tabs.map((tab) => [`partition${tab.replace("?tab=", "-")}`, `${partition}${tab}`]),
    ];
    for (const [name, path] of all) {
      step(`${path} ${theme} ${width}`);
      await page.goto(path);
      await settled(page);
      await picture(page, `${name}-${theme}-${width}`);
      await accessible(page, `${path} ${theme} ${width}`);
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert(wide <= 0, `${path} is ${wide} px wider than the window of ${width}`);
    }
    if (theme === "dark") {
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
  }
});
