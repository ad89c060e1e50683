export const password = {
  title: "Change password",
  current: "Present password",
  next: "New password",
  help: (shortest: number) => `At least ${String(shortest)} characters.`,
  done: "The password was changed",
  doneHelp: "Your other sessions have ended.",
};
