//! `agents policy`: what an agent should run, and which document set each value.

use crate::command::Context;
use crate::error::CliError;
use crate::output::{Style, clean, plain, print_json, print_table};
use comfy_table::Table;
use muster_proto::api::AgentPolicyView;
use muster_shared::policy::provenance::{Origin, ValueOrigin};
use serde_json::Value;

/// Longest value that is shown, in characters; certificates are cut.
const MAX_VALUE: usize = 80;

/// Shows the policy of an agent.
pub(in crate::command) async fn show(agent: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let view: AgentPolicyView = context.client()?.get(&["agents", agent, "policy"], &[]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    if view.values.is_empty() {
        writeln!(context.err, "no document selects this agent, or none of them says anything")?;
        return Ok(());
    }
    writeln!(context.out, "made of {}", clean(&view.documents.join(", ")))?;
    Ok(print_table(context.out, &table(&view.values, context.style))?)
}

fn table(values: &[ValueOrigin], style: Style) -> Table {
    let mut table = style.table(&["PATH", "VALUE", "SET BY", "OVERRODE"]);
    for value in values {
        let overrode: Vec<String> = value
            .overrode
            .iter()
            .map(|o| format!("{} {}", name(&o.by), o.value.as_ref().map_or("(nothing)".to_owned(), shown)))
            .collect();
        let own = value.value.as_ref().map_or("(not set)".to_owned(), shown);
        let overrode = if overrode.is_empty() { "-".to_owned() } else { overrode.join("; ") };
        table.add_row([plain(&value.path), plain(own), plain(name(&value.set_by)), plain(overrode)]);
    }
    table
}

fn name(origin: &Origin) -> String {
    format!("{}@{}", origin.document, origin.revision)
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(), // everything else reads as it is written
    };
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::provenance::Overridden;

    #[test]
    fn each_value_has_a_line() {
        let origin =
            |document: &str, revision| Origin { document: document.to_owned(), revision, priority: 0 };
        let values = [
            ValueOrigin {
                path: "spec.destinations.a.transport.address".to_owned(),
                value: Some("new:1".into()),
                set_by: origin("site", 4),
                overrode: vec![Overridden { by: origin("base", 2), value: Some("old:1".into()) }],
            },
            ValueOrigin {
                path: "spec.rules[r].action".to_owned(),
                value: None,
                set_by: origin("base", 2),
                overrode: Vec::new(),
            },
        ];
        let style = Style { json: false, colour: false, terminal: false };
        let mut out = Vec::new();
        print_table(&mut out, &table(&values, style)).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["spec.destinations.a.transport.address", "new:1", "site@4", "base@2", "old:1"]);
        assert_eq!(lines[2], ["spec.rules[r].action", "(not", "set)", "base@2", "-"]);
    }
}
