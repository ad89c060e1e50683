//! Blanks what looks like a secret in an effective configuration: the second line of defence. The first is
//! the agent, which should not send any.
//!
//! Foreign agents send whatever they run. Values are blanked by the name of their key, line by line, so that
//! any text format is served as well as it can be without knowing it; private keys in PEM are blanked whole.

/// What stands in place of a secret.
pub const BLANK: &str = "<redacted>";

/// Parts of names whose values are secret.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "access-key",
    "private_key",
    "private-key",
    "authorization",
    "credential",
    "cookie",
];

/// Names that hold such a part and no secret: where one is kept, or how it is sent.
const HARMLESS: &[&str] = &["_file", "-file", "_path", "_type", "_name", "_ref", "_uri", "_url", "tokenizer"];

/// The text without secrets.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut pem = false;
    for line in text.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        if pem {
            pem = !body.contains("-----END ");
            continue;
        }
        if let Some(at) = body.find("-----BEGIN ").filter(|at| body[*at..].contains("PRIVATE KEY")) {
            out.push_str(&body[..at]);
            out.push_str(BLANK);
            out.push_str(end);
            pem = !body[at..].contains("-----END ");
            continue;
        }
        redact_line(body, &mut out);
        out.push_str(end);
    }
    out
}

/// Blanks every secret value of a line: `key: value`, `key=value`, `"key": "value", …`.
fn redact_line(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some(at) = rest.find([':', '=']) {
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        rest = tail;
        if !is_secret(name_before(&head[..at])) {
            continue;
        }
        let blank = tail.len() - tail.trim_start().len();
        let value = &tail[blank..];
        let length = value_length(value);
        // A map or a list follows: its own keys tell.
        if length == 0 || value.starts_with(['{', '[', '|', '>', '&']) {
            continue;
        }
        out.push_str(&tail[..blank]);
        out.push_str(BLANK);
        rest = &value[length..];
    }
    out.push_str(rest);
}

/// The name that ends before the separator.
fn name_before(head: &str) -> &str {
    let head = head.trim_end().trim_end_matches(['"', '\'']);
    let start = head.rfind(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)));
    start.map_or(head, |at| &head[at..]).trim_start_matches(|c: char| !c.is_alphanumeric())
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part)) && !HARMLESS.iter().any(|part| name.contains(part))
}

/// Length of the value at the front: a quoted text, or up to what ends a plain one.
fn value_length(value: &str) -> usize {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        // An unquoted value ends with its line, unless it is a number or a word of JSON.
        let word = value[..value.find([',', '}', ']']).unwrap_or(value.len())].trim_end();
        let json = word.parse::<f64>().is_ok() || matches!(word, "true" | "false" | "null");
        return if json { word.len() } else { value.trim_end().len() };
    };
    let mut escaped = false;
    for (at, c) in value.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_blanked_by_the_names_of_their_keys() {
        let cases = [
            ("password: hunter2", "password: <redacted>"),
            ("  api_key: \"a:b=c\" # note", "  api_key: <redacted> # note"),
            ("DB_PASSWORD=x y", "DB_PASSWORD=<redacted>"),
            (r#"{"token":"a\"b","port":1}"#, r#"{"token":<redacted>,"port":1}"#),
            (r#"{"secret": 12, "a": 3}"#, r#"{"secret": <redacted>, "a": 3}"#),
            ("Authorization: Bearer abc", "Authorization: <redacted>"),
            ("headers: {x-auth-token: 'q', b: 2}", "headers: {x-auth-token: <redacted>, b: 2}"),
            ("token_file: /etc/t", "token_file: /etc/t"),
            ("secrets:", "secrets:"),
            ("tokens: [a]", "tokens: [a]"),
            ("endpoint: https://x:4317/a?b=c", "endpoint: https://x:4317/a?b=c"),
            ("é: ü", "é: ü"),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    #[test]
    fn private_keys_are_blanked_whole() {
        let text = "a: 1\nkey: |\n  -----BEGIN PRIVATE KEY-----\n  MII\n  -----END PRIVATE KEY-----\nb: 2\n";
        assert_eq!(redact(text), "a: 1\nkey: |\n  <redacted>\nb: 2\n");
        assert_eq!(redact("x -----BEGIN EC PRIVATE KEY-----\nMII"), "x <redacted>\n");
        let certificate = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
        assert_eq!(redact(certificate), certificate);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}", glue in "(password|\"token\"): ?['\"]?") {
            let text = format!("{text}{glue}{text}");
            proptest::prop_assert!(redact(&text).len() <= text.len() * (BLANK.len() + 1));
        }
    }
}
