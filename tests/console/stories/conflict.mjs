// Two people edit one draft: whoever comes second is told by whom it was changed, sees both texts, chooses, and loses nothing;
// neither does who reloads in the middle of it.

import { assert, both, given, step, story, until } from "../story.mjs";

const text = (page) => page.locator(".cm-content").first().innerText();

/** Adds a line to the end of the text, without saving it. */
async function append(page, line) {
  await page.locator(".cm-content").first().click();
  await page.keyboard.press("Control+End");
  await page.keyboard.insertText(`\n${line}`);
}

/** The draft as the controller has it. */
async function stored({ context }) {
  const answer = await (await context.request.get("/api/v1/drafts/fleet")).json();
  return answer.text;
}

const told = (page, who) => page.getByText(`${who} saved this draft meanwhile`).waitFor();

await story("conflict", async (meet) => {
  const ottos = await meet({ user: "otto", password: given.user_password });
  const annas = await meet({ user: "anna", password: given.user_password });
  const [otto, anna] = [ottos.page, annas.page];
  // The refusal that this story is about.
  for (const { expect } of [ottos, annas]) expect(/status of 412/);

  step("both begin with the same draft");
  await otto.goto("/policies/fleet/edit");
  await append(otto, "# the first line");
  await otto.keyboard.press("Control+s");
  await otto.getByText("Draft saved").waitFor();
  await anna.goto("/policies/fleet/edit");
  await anna.getByText("# the first line").waitFor();

  step("the one saves; the other is told, and nothing of either is lost");
  await append(otto, "# by Otto");
  await otto.keyboard.press("Control+s");
  await until("it is saved", async () => (await stored(ottos)).includes("# by Otto"));
  await append(anna, "# by Anna");
  await anna.keyboard.press("Control+s");
  await told(anna, "otto");
  await anna.getByText("Not saved: somebody else changed the draft").waitFor();
  assert((await text(anna)).includes("# by Anna"), "what Anna typed is gone");
  assert(!(await stored(ottos)).includes("# by Anna"), "what Otto saved was overwritten unasked");
  assert(
    await anna.getByRole("button", { name: "Publish", exact: true }).isDisabled(),
    "it can be published",
  );
  await anna.getByRole("button", { name: "Compare", exact: true }).click();
  await anna.getByText("Saved by otto").first().waitFor();
  await both(anna, "a conflict", "conflict");

  step("a reload in the middle loses nothing either");
  anna.once("dialog", (dialog) => void dialog.accept());
  await anna.reload();
  await told(anna, "otto");
  assert((await text(anna)).includes("# by Anna"), "what Anna typed is gone after the reload");

  step("she goes on typing, and chooses her own text");
  await append(anna, "# and more");
  await anna.getByRole("button", { name: "Keep my text" }).click();
  await anna.getByText("Draft saved").waitFor();
  const hers = await stored(annas);
  assert(hers.includes("# by Anna") && hers.includes("# and more") && !hers.includes("# by Otto"), hers);

  step("now he is second, and takes hers");
  await append(otto, "# too late");
  await otto.keyboard.press("Control+s");
  await told(otto, "anna");
  await otto.getByRole("button", { name: "Take theirs" }).click();
  await otto.getByText("Draft saved").waitFor();
  const his = await text(otto);
  assert(his.includes("# and more") && !his.includes("# too late"), his);
  assert((await stored(ottos)) === hers, "taking hers changed what is stored");

  step("labels of a partition: the second is told, and what was typed stays");
  for (const { page } of [ottos, annas]) {
    await page.goto("/fleet");
    await page.getByRole("link", { name: "LPAR01" }).click();
    await page.getByRole("button", { name: "Edit labels" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Add a label" }).click();
  }
  const label = async (page, key, value) => {
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Label", { exact: true }).last().fill(key);
    await dialog.getByLabel("Value", { exact: true }).last().fill(value);
    await dialog.getByRole("button", { name: "Save", exact: true }).click();
  };
  await label(otto, "owner", "otto");
  await otto.getByText("The labels were set").first().waitFor();
  await label(anna, "owner", "anna");
  await anna.getByText("Somebody else changed this partition meanwhile").waitFor();
  assert(
    (await anna.getByRole("dialog").getByLabel("Value", { exact: true }).last().inputValue()) === "anna",
    "lost",
  );
  await both(anna, "labels that were changed meanwhile");
  await anna.getByRole("dialog").getByRole("button", { name: "Load the present labels" }).click();
  await until("she sees his label", async () => {
    const values = await anna.getByRole("dialog").getByLabel("Value", { exact: true }).all();
    for (const value of values) if ((await value.inputValue()) === "otto") return true;
    return false;
  });
});
