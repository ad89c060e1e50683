//! Policies that stories use, as YAML text.

/// One audit journal from its oldest entry, one destination with the given transport and format.
#[must_use]
pub fn one(transport: &str, format: &str) -> String {
    several(&[("siem", transport, format)])
}

/// One audit journal from its oldest entry, several destinations: (name, transport, format).
#[must_use]
pub fn several(destinations: &[(&str, &str, &str)]) -> String {
    let mut text =
        String::from("sources:\n  audit:\n    kind: audit_journal\n    start: oldest\ndestinations:\n");
    for (name, transport, format) in destinations {
        text.push_str(&format!(
            "  {name}:\n    transport: {transport}\n    format: {format}\n    heartbeat_seconds: 0\n    replay_window_ms: 1000\n"
        ));
    }
    text
}

/// A plain TCP transport with newlines.
#[must_use]
pub fn tcp(address: &str) -> String {
    format!("{{kind: tcp, address: \"{address}\"}}")
}

/// Indents a text, to put it below a key.
#[must_use]
pub fn indented(text: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    text.lines().map(|line| format!("{margin}{line}\n")).collect()
}

/// A policy document for a controller around the content.
#[must_use]
pub fn document(name: &str, content: &str) -> String {
    format!("api_version: muster/v1\nname: {name}\nspec:\n{}", indented(content, 2))
}
