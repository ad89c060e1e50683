// Debian's Chromium under Playwright, and what every story and picture needs: sign in, wait, complain about faults.

import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.MUSTER_CHROMIUM ?? "/usr/bin/chromium";

/** How long anything may take that a person waits for. */
export const PATIENCE = 15_000;

/** A browser. As root, Chromium has no sandbox; it only ever sees pages of our own. */
export async function launch() {
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: CHROMIUM, args });
}

/**
 * A page of its own, like another person's. `faults` collects what no story may have: errors on the browser's console and
 * exceptions that nobody caught. A refusal that a story provokes is announced to `expect` first.
 */
export async function open(
  browser,
  { url, theme = "light", width = 1440, height = 900, zone = "Europe/Zurich" },
) {
  const context = await browser.newContext({
    baseURL: url,
    // The authority of the controller is its own.
    ignoreHTTPSErrors: true,
    colorScheme: theme,
    viewport: { width, height },
    timezoneId: zone,
    locale: "en-GB",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const faults = [];
  const expected = [];
  page.on("console", (message) => {
    const text = `${message.text()} ${message.location().url}`;
    if (message.type() === "error" && !expected.some((pattern) => pattern.test(text))) faults.push(text);
  });
  page.on("pageerror", (error) => faults.push(`${error.message}\n${error.stack ?? ""}`));
  return { page, context, faults, expect: (pattern) => expected.push(pattern) };
}

/** Signs in through the form. */
export async function signIn(page, user, password) {
  // Who is not signed in is told so by a status, which the browser notes.
  await page.goto("/");
  await page.getByLabel("User").fill(user);
  const field = page.getByLabel("Password", { exact: true });
  await field.fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  // The form has a heading, too: only when it is gone is somebody signed in.
  await field.waitFor({ state: "detached" });
  await page.getByRole("heading", { level: 1 }).waitFor();
}

/** Faults of accessibility that are serious or critical, each in a line. */
export async function inaccessible(page) {
  const { violations } = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"])
    .analyze();
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ id, help, nodes }) =>
        `${id}: ${help}: ${nodes
          .map(({ html, failureSummary }) => `${html} ${failureSummary}`)
          .slice(0, 3)
          .join(" | ")}`,
    );
}
