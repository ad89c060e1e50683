const partitions = (number: number) => (number === 1 ? "partition" : "partitions");
const problems = (number: number) => (number === 1 ? "fault" : "faults");

/** Texts of the editor of policies. */
export const policiesEditor = {
  editor: {
    label: (name: string) => `Text of the draft ${name}. Tab indents; Escape, then Tab, leaves the editor.`,
    draftOf: (name: string) => `Draft ${name}, not to be edited`,
    keys: "Ctrl+Space completes · Ctrl+S saves · Ctrl+F searches · Tab indents · Escape, then Tab, leaves the editor",
    gone: (name: string) => `There is no draft ${name}`,
    goneHelp: "It was published or discarded, and there is no policy of that name.",
    views: { write: "Write", compare: "Compare", effects: "Effects" },
    inForce: (revision: number) => `In force: revision ${String(revision)}`,
    thisDraft: "This draft",
    meaning: "What differs in meaning",
    save: "Save draft",
    publish: "Publish",
    propose: "Propose",
    discard: "Discard draft",
    discardTitle: (name: string) => `Discard the draft ${name}`,
    discardHelp: (revision: number) =>
      `What was written is deleted. Revision ${String(revision)} stays in force.`,
    discardNew: "What was written is deleted. It was never published.",
    phases: {
      same: "As it is in force",
      unsaved: "Not saved yet",
      saving: "Saving",
      saved: "Draft saved",
      conflict: "Not saved: somebody else changed the draft",
      failed: "Not saved",
    },
    signInAgain: "Your text is kept; it is saved as soon as you have signed in again.",
    why: {
      same: "Nothing is changed yet.",
      unsaved: "It is published once it is saved.",
      checking: "It is being checked.",
      outdated: "Another revision is in force by now.",
      faults: (number: number) => `It has ${String(number)} ${problems(number)}.`,
    },
    preset: (text: string, value: string) => `${text} Default ${value}.`,
    shapes: {
      mapping: "mapping",
      list: "list",
      "list of mappings": "list",
      text: "text",
      number: "number",
      "yes or no": "true or false",
      "": "",
    },
    /** Words of the editor itself, by the English ones that it has. */
    phrases: {
      Completions: "Completions",
      Find: "Find",
      Replace: "Replace",
      next: "next",
      previous: "previous",
      all: "all",
      "match case": "match case",
      "by word": "by word",
      regexp: "expression",
      replace: "replace",
      "replace all": "replace all",
      close: "close",
    },
  },
  conflict: {
    title: "Somebody else changed the draft",
    changedBy: (user: string) => `${user} saved this draft meanwhile`,
    help: "Your text is kept here and not saved. Compare the two, then choose whose text stays.",
    at: "Saved",
    goneTitle: "The draft is not there any more",
    goneHelp: "It was published or discarded elsewhere. Your text is kept here.",
    mine: "Keep my text",
    theirs: "Take theirs",
    again: "Save my text as a new draft",
    compare: "Compare",
    hide: "Hide the comparison",
    of: (user: string) => `Saved by ${user}`,
    yours: "Your text",
  },
  outdated: {
    title: (base: number, now: number) =>
      base > 0
        ? `This draft was made from revision ${String(base)}; revision ${String(now)} is in force by now`
        : `Revision ${String(now)} was published since this draft was begun`,
    removed: (base: number) =>
      `Revision ${String(base)}, from which this draft was made, is not in force any more`,
    help: "Take over what is new there, then say that the draft is made from it. Until then it cannot be published.",
    compare: (now: number) => `Compare with revision ${String(now)}`,
    rebase: (now: number) => `It is made from revision ${String(now)} now`,
    rebaseNew: "It is a new policy now",
  },
  faults: {
    title: (faults: number, warnings: number) =>
      `${String(faults)} ${problems(faults)}, ${String(warnings)} ${warnings === 1 ? "warning" : "warnings"}`,
    checking: "Checking",
    valid: (number: string, of: number) => `It can be published; it selects ${number} ${partitions(of)} now.`,
    invalid: "It cannot be published as it stands.",
    fault: "Fault",
    warning: "Warning",
    at: (line: number, column: number) => `line ${String(line)}, column ${String(column)}`,
  },
  publish: {
    title: (name: string) => `Publish ${name}`,
    titleNew: (name: string) => `Publish the new policy ${name}`,
    selects: (number: string, of: number) => `It selects ${number} ${partitions(of)} now.`,
    how: "How it gets to the partitions",
    now: "To all of them at once",
    rollout: "By a rollout: wave by wave, watched, and back by itself where it does harm",
    action: "Publish",
    propose: "Propose",
    toRollout: "Plan the rollout",
    changes: "What changes",
    fourEyesTitle: "A second person must approve",
    fourEyes:
      "Four-eyes is on: this makes a proposal. Nothing is published until somebody else with the role approver approves it.",
  },
};
