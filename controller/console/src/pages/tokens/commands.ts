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
  const { name, file, address, user, check, pin, caFile } = filled(target);
  const trust =
    check === "pin"
      ? [...comments.pin.map((line) => `# ${line}`), `pin_sha256 = ${quoted(pin)}`]
      : [...comments.ca.map((line) => `# ${line}`), `ca_file = ${quoted(caFile)}`];
  return [
    `# ${comments.head(name)}`,
    `state_dir = ${quoted(`/var/lib/muster-agent/${name.toLowerCase()}`)}`,
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

/** Has systemd run it; absent where the configuration is not where the unit looks. */
export function serviceCommand(target: Target): string | undefined {
  const instance = /^\/etc\/muster\/([A-Za-z0-9_.-]+)\.toml$/.exec(filled(target).file)?.[1];
  if (!instance) return undefined;
  return [
    `chown root:muster-agent /etc/muster/${instance}.* && chmod 0640 /etc/muster/${instance}.*`,
    `systemctl enable --now muster-agent@${instance}`,
  ].join("\n");
}
