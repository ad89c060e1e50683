import { audit } from "./audit";
import { common } from "./common";
import { firstRun } from "./first-run";
import { fleet } from "./fleet";
import { grid } from "./grid";
import { licence } from "./licence";
import { live } from "./live";
import { packages } from "./packages";
import { partition } from "./partition";
import { password } from "./password";
import { policies } from "./policies";
import { rollouts } from "./rollouts";
import { shell } from "./shell";
import { signIn } from "./sign-in";
import { tokens } from "./tokens";
import { users } from "./users";

/** English. */
export const en = {
  common,
  shell,
  signIn,
  password,
  firstRun,
  fleet,
  grid,
  partition,
  policies,
  rollouts,
  packages,
  licence,
  tokens,
  users,
  audit,
  live,
};
