import { texts } from "@/texts";

/** What only the admin knows of a partition, as far as it was typed. */
export interface Target {
  name: string;
  /** Where the configuration lies on the agent's host. */
  file: string;
  address: string;
  user: string;
  check: "pin" | "ca";
  pin: string;
  caFile: string;
}

/** A text in TOML: its basic strings are written as those of JSON. */
const quoted = (text: string) => JSON.stringify(text);

/** A word for a shell. */
function word(text: string): string {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The files beside the configuration are named like it. */
function beside(file: string, suffix: string): string {
  return file.replace(/\.toml$/, "") + suffix;
}

/** Where everything is, with what stands for what was not typed yet. */
export function filled(target: Target): Target {
  const { blanks } = texts.tokens;
  const name = target.name.trim() || blanks.name;
  const file = target.file.trim() || `/etc/muster/${name.toLowerCase()}.toml`;
  return {
    name,
    file,
    address: target.address.trim() || blanks.address,
    user: target.user.trim().toUpperCase() || blanks.user,
    check: target.check,
    pin: digits(target.pin) || blanks.pin,
    caFile: target.caFile.trim() || beside(file, "-ca.pem"),
  };
}

/** A fingerprint without what tools put between its digits. */
export function digits(pin: string): string {
  return pin.replace(/^.*SHA-?256:?/i, "").replace(/[\s:]/g, "");
}

/** The agent's configuration. */
export function configuration(target: Target): string {
  const { comments } = texts.tokens;
  const at = filled(target);
  const { name, file, address, user, check, pin, caFile } = at;
  const trust =
    check === "pin"
      ? [...comments.pin.map((line) => `# ${line}`), `pin_sha256 = ${quoted(pin)}`]
      : [...comments.ca.map((line) => `# ${line}`), `ca_file = ${quoted(caFile)}`];
  return [
    `# ${comments.head(name)}`,
    `state_dir = ${quoted(stateFolder(at))}`,
    "",
    "[partition]",
    `address = ${quoted(address)}`,
    `user = ${quoted(user)}`,
    `password_file = ${quoted(beside(file, ".password"))}`,
    ...trust,
  ].join("\n");
}

/** Asks for the password and stores it where only its owner reads it: it stands neither here nor in a history. */
export function passwordCommand(target: Target): string {
  const { file, user } = filled(target);
  const ask = `IFS= read -rsp ${word(texts.tokens.prompt(user))} p`;
  return `(umask 077; ${ask} && printf '%s\\n' "$p" > ${word(beside(file, ".password"))})`;
}

/** Enrols. The token comes by standard input: a list of processes shows what stands in a command, and a file would stay. */
export function enrolCommand(target: Target, token: string): string {
  return [
    `muster-agent enrol --config ${word(filled(target).file)} --token-file - <<'TOKEN'`,
    token,
    "TOKEN",
  ].join("\n");
}

/** Checks what was configured, by connecting. */
export function checkCommand(target: Target): string {
  return `muster-agent check-config --config ${word(filled(target).file)} --connect`;
}

/** Runs the agent until it is stopped. */
export function runCommand(target: Target): string {
  return `muster-agent run --config ${word(filled(target).file)}`;
}

/** The unit's name of this agent; absent where the configuration is not where the unit looks. */
function instance(file: string): string | undefined {
  return /^\/etc\/muster\/([A-Za-z0-9_.-]+)\.toml$/.exec(file)?.[1];
}

/** The state folder. Under the unit it is the one that the unit lets the agent write to. */
function stateFolder({ name, file }: Target): string {
  return `/var/lib/muster-agent/${instance(file) ?? name.toLowerCase()}`;
}

/**
 * Has systemd run it; absent where the configuration is not where the unit looks. The unit's user reads the configuration,
 * and owns the password, of which the agent warns where others may read it, and what enrolment wrote.
 */
export function serviceCommand(target: Target): string | undefined {
  const at = filled(target);
  const unit = instance(at.file);
  if (!unit) return undefined;
  const password = beside(at.file, ".password");
  return [
    `chown root:muster-agent ${at.file} && chmod 0640 ${at.file}`,
    `chown muster-agent: ${password} && chmod 0600 ${password}`,
    `chown -R muster-agent: ${stateFolder(at)}`,
    `systemctl enable --now muster-agent@${unit}`,
  ].join("\n");
}
