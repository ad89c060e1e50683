// The frame of a story: a browser, a page, what it is told and may ask for. A story that leaves an error on the browser's
// console, or a page with a serious fault of accessibility, has failed.

import { mkdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { inaccessible, launch, open, signIn } from "./browser.mjs";

/** What the test tells: `url`, passwords, names. */
export const given = JSON.parse(process.env.MUSTER_GIVEN ?? "{}");
const folder = process.env.MUSTER_PICTURES ?? "pictures";

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the test for something that a browser cannot do: an event, an agent that stops. */
export async function ask(what) {
  process.stdout.write(`ASK ${JSON.stringify(what)}\n`);
  const { value, done } = await answers.next();
  if (done) throw new Error("the test has ended");
  const { ok, error } = JSON.parse(value);
  if (error !== undefined) throw new Error(`asked for ${JSON.stringify(what)}: ${error}`);
  return ok;
}

/** Fails with words unless it holds. */
export function assert(holds, words) {
  if (!holds) throw new Error(words);
}

/** Looks until `look` gives something, for what no selector can wait for. */
export async function until(what, look, patience = 15_000) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${patience} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Takes a picture into the ignored folder of pictures. */
export async function picture(page, name) {
  mkdirSync(folder, { recursive: true });
  await page.screenshot({
    path: `${folder}/${name}.png`,
    animations: "disabled",
  });
}

/** Fails if the page has a serious or critical fault of accessibility. */
export async function accessible(page, where) {
  const found = await inaccessible(page);
  assert(found.length === 0, `${where}: ${found.join("\n")}`);
}

/** Shows the page in a theme; the page has heard of it, and colours that change slowly have changed. */
async function themed(page, theme) {
  await page.emulateMedia({ colorScheme: theme });
  await page.waitForFunction(
    (wanted) =>
      document.documentElement.dataset.theme === wanted &&
      !document.getAnimations().some((animation) => animation instanceof CSSTransition),
    theme,
  );
}

/** Fails if the page has a fault of accessibility in either theme; with a name it takes a picture of both. Light is left. */
export async function both(page, where, name) {
  for (const theme of ["dark", "light"]) {
    await themed(page, theme);
    if (name) await picture(page, `${name}-${theme}-${page.viewportSize().width}`);
    await accessible(page, `${where}, ${theme}`);
  }
}

/** What a click has the browser save: the name of the file, and its text. */
export async function saved(page, click) {
  const [download] = await Promise.all([page.waitForEvent("download"), click()]);
  return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "utf8") };
}

/** Says what the story does now. */
export function step(words) {
  process.stdout.write(`${words}\n`);
}

/** Someone at their own browser, signed in unless `user` is absent. */
async function person(browser, { user, password, ...options } = {}) {
  const theirs = await open(browser, { url: given.url, ...options });
  // Who is not signed in is told so by a status, which the browser notes as an error.
  theirs.expect(/status of 401.*whoami/);
  if (user) await signIn(theirs.page, user, password);
  return theirs;
}

/** Tells a story; its end is the end of the program. */
export async function story(name, tell) {
  const browser = await launch();
  const people = [];
  const meet = async (who) => {
    const theirs = await person(browser, who);
    people.push(theirs);
    return theirs;
  };
  let status = 0;
  try {
    await tell(meet);
    for (const { faults, page } of people)
      assert(faults.length === 0, `at ${page.url()}: ${faults.join("\n")}`);
  } catch (error) {
    status = 1;
    process.stdout.write(`${error.stack}\n`);
    for (const [number, { page, faults }] of people.entries()) {
      process.stdout.write(`${page.url()}\n${faults.join("\n")}\n`);
      await picture(page, `${name}-failed-${number + 1}`).catch(() => undefined);
      const text = await page
        .locator("body")
        .innerText()
        .catch(() => "");
      process.stdout.write(`${text.slice(0, 4_000)}\n`);
    }
  }
  await browser.close();
  process.exit(status);
}
