export const firstRun = {
  title: "Welcome to Muster",
  password: (user: string) =>
    `You are signed in as ${user} with a password that somebody else knows. Choose one of your own.`,
  current: "Present password",
  next: "New password",
  nextHelp: (shortest: number) => `At least ${String(shortest)} characters; a sentence is good.`,
  again: "New password again",
  differs: "The two are not the same.",
  submit: "Set the password",
  busy: "Setting the password",
  signOut: "Sign out",
  stepsTitle: "First steps",
  steps: {
    password: "Set your password",
    enrol: "Enrol a partition",
    arrive: "See it arrive",
  },
  enrolHelp:
    "No partition takes part yet. A token lets its agent in: it is shown with everything to be done on the agent's host.",
  enrol: "Show the commands",
  skip: "Skip, to the fleet",
  waitHelp: "Run the commands below on the agent's host. This changes by itself when the agent arrives.",
  arrivedHelp:
    "The first partition takes part. Next it needs a policy, which tells what to collect and where to.",
  toFleet: "To the fleet",
  toPolicies: "To the policies",
};
