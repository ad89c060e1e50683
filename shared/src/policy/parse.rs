//! YAML text becomes a policy. Every refusal names line and column and what was expected; limits on size,
//! depth and aliases keep a hostile file from costing memory or time.

use super::model::{EffectivePolicy, PolicyDocument, PolicySpec};
use serde::de::DeserializeOwned;

/// Most bytes of one policy text. A policy with a hundred certificates has some 200 KiB.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting; the model itself needs 6.
const MAX_DEPTH: usize = 16;
/// Most nodes (keys and values) of one text.
const MAX_NODES: usize = 100_000;
/// Most aliases (`*name`) and anchors; enough to repeat a certificate per destination.
const MAX_ALIASES: usize = 256;

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is longer than [`MAX_BYTES`].
    #[error("the policy has {size} bytes, at most {MAX_BYTES} are allowed; split it into several documents")]
    TooLarge {
        /// Its length in bytes.
        size: usize,
    },
    /// The YAML is malformed, or something in it is not what the model expects.
    #[error("line {line}, column {column}: {message}")]
    At {
        /// Line, counted from 1.
        line: u64,
        /// Column, counted from 1.
        column: u64,
        /// What is wrong and what was expected.
        message: String,
    },
    /// An error of the whole text that has no place in it.
    #[error("{message}")]
    Whole {
        /// What is wrong.
        message: String,
    },
}

/// Reads one policy document.
///
/// # Errors
/// [`ParseError`] with line and column.
pub fn parse_document(text: &str) -> Result<PolicyDocument, ParseError> {
    parse(text)
}

/// Reads the bare content of a policy: the local policy of a stand-alone agent.
///
/// # Errors
/// [`ParseError`] with line and column.
pub fn parse_spec(text: &str) -> Result<PolicySpec, ParseError> {
    parse(text)
}

/// Reads an effective policy, as the controller sends it.
///
/// # Errors
/// [`ParseError`] with line and column.
pub fn parse_effective(text: &str) -> Result<EffectivePolicy, ParseError> {
    parse(text)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError::TooLarge { size: text.len() });
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_documents: 1,
            max_inclusion_depth: 0,
            max_total_scalar_bytes: MAX_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: 8,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error))
}

fn explain(error: &serde_saphyr::Error) -> ParseError {
    let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    match error.location() {
        Some(place) if place.line() > 0 => {
            ParseError::At { line: place.line(), column: place.column(), message: message }
        }
        _ => ParseError::Whole { message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn probe() {
        let head = "api_version: muster/v1\nname: a\nspec:\n";
        for tail in [
            "  bogus: 1\n",
            "  destinations:\n    a:\n      transport: { kind: tpc, address: 'x:1' }\n",
            "  destinations:\n    a:\n      transport:\n        kind: tcp\n        address: 'x:1'\n        server_name: a\n",
            "  destinations:\n    a:\n      transport:\n        kind: tcp\n        adress: 'x:1'\n",
            "  destinations:\n    a:\n      transport:\n        kind: tcp\n",
            "  destinations:\n    a:\n      transport:\n        kind: tcp\n        address: [x]\n",
            "  destinations:\n    a:\n      transport:\n        kind: tcp\n        address: x:1\n      format: {facility: 300}\n",
            "  rules:\n    - name: a\n      action: dorp\n",
            "  rules:\n    - name: a\n      action: drop\n      match: {min_severity: 0}\n",
            "  rules:\n    - name: a\n    action: drop\n",
            "  rules: {\n",
            "  rules:\n\t- a\n",
            "  rules: \"abc\n",
            "  rules:\n    - name:\n      action: drop\n",
            "  rules: []\n  rules: []\n",
            "  rules: *x\n",
            "  rules: [[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]\n",
            "  rules:\n",
            "---\nname: b\n",
            "  sources: {a: {kind: audit_journal, batch_rows: -1}}\n",
            "  sources: {a: {journal: x}}\n",
        ] {
            println!("{tail}=> {:?}", parse_document(&format!("{head}{tail}")));
        }
        println!("{:?}", parse_document(""));
        println!("{:?}", parse_document("- a\n"));
        println!("{:?}", parse_document("name: a\n"));
        println!("{:?}", parse_document("{\"name\": \u{0}}\n"));
    }
}
