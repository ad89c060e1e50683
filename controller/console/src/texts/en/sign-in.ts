export const signIn = {
  title: "Sign in to Muster",
  user: "User",
  password: "Password",
  submit: "Sign in",
  busy: "Signing in",
  expiredTitle: "Your session has ended",
  expiredHelp: "Sign in again to go on; what you have open and typed is kept.",
  other: "Sign in as somebody else",
  missing: "Give user and password.",
};
