//! `agents config`: configuration files of foreign OpAMP agents.

use super::Context;
use crate::args::ConfigArgs;
use crate::error::CliError;
use crate::output::{ago, clean, labels, plain, print_json, print_table};
use jiff::Timestamp;
use muster_proto::api::{
    AgentKind, AgentPolicyView, AgentView, ConfigFile, ConfigRequest, ConfigTarget, ConfigView,
};
use muster_shared::id::AgentId;
use std::collections::BTreeMap;
use std::path::Path;

/// Shows, sets or removes.
pub(super) async fn config(args: ConfigArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let target = match (&args.agent, args.all, args.selector.is_empty()) {
        (Some(name), _, _) => Some(ConfigTarget::Agent(foreign_agent(&client, name).await?)),
        (None, false, true) => None,
        (None, true, _) | (None, false, false) => {
            Some(ConfigTarget::Selector(args.selector.iter().cloned().collect()))
        }
    };
    let changes = args.remove || !args.files.is_empty();
    match target {
        None if changes => {
            Err(CliError::Usage("name the agent, or give --selector KEY=VALUE or --all".to_owned()))
        }
        None => list(context).await,
        Some(target) if args.remove => remove(&target, context).await,
        Some(target) if !args.files.is_empty() => set(target, &args, context).await,
        Some(ConfigTarget::Agent(agent)) => show(agent, context).await,
        Some(target @ ConfigTarget::Selector(_)) => {
            let found = configs(context).await?.into_iter().find(|config| config.target == target);
            print_config(found.ok_or_else(nothing_set)?, context)
        }
    }
}

fn nothing_set() -> CliError {
    CliError::Usage("no configuration is set for that; see `muster agents config`".to_owned())
}

async fn foreign_agent(client: &crate::client::Client, name: &str) -> Result<AgentId, CliError> {
    let view: AgentView = client.get(&["agents", name], &[]).await?;
    match view.summary.kind {
        AgentKind::Foreign => Ok(view.summary.id),
        AgentKind::Muster => Err(CliError::Usage(format!(
            "{} is one of Muster's own agents: it runs policies, see `muster policy`",
            clean(&view.summary.name)
        ))),
    }
}

async fn configs(context: &Context<'_>) -> Result<Vec<ConfigView>, CliError> {
    context.client()?.list(&["foreign-configs"]).await
}

async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let configs = configs(context).await?;
    if context.style.json {
        return Ok(print_json(context.out, &configs)?);
    }
    let now = Timestamp::now();
    let mut table = context.style.table(&["FOR", "REVISION", "SET", "BY", "FILES", "HASH"]);
    for config in &configs {
        table.add_row([
            plain(target_text(&config.target)),
            plain(config.revision.to_string()),
            plain(ago(Some(config.set_at), now)),
            plain(&config.set_by),
            plain(config.files.len().to_string()),
            plain(config.hash.get(..12).unwrap_or(&config.hash)),
        ]);
    }
    Ok(print_table(context.out, &table)?)
}

fn target_text(target: &ConfigTarget) -> String {
    match target {
        ConfigTarget::Agent(agent) => agent.to_string(),
        ConfigTarget::Selector(selector) if selector.is_empty() => "all foreign agents".to_owned(),
        ConfigTarget::Selector(selector) => labels(selector),
    }
}

/// What an agent should run, and what it says that it runs.
async fn show(agent: AgentId, context: &mut Context<'_>) -> Result<(), CliError> {
    let id = agent.to_string();
    let view: AgentPolicyView = context.client()?.get(&["agents", &id, "policy"], &[]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    let set = view.documents.first().map_or("none", String::as_str);
    writeln!(context.out, "wanted: {}", clean(set))?;
    writeln!(context.out, "state: {:?} {}", view.status.state, clean(&view.status.reason))?;
    match &view.effective {
        Some(text) => {
            writeln!(context.out, "it says that it runs:")?;
            for line in text.lines() {
                writeln!(context.out, "  {}", clean(line))?;
            }
        }
        None => writeln!(context.out, "it does not tell what it runs")?,
    }
    Ok(())
}

fn print_config(config: ConfigView, context: &mut Context<'_>) -> Result<(), CliError> {
    if context.style.json {
        return Ok(print_json(context.out, &config)?);
    }
    for (name, file) in &config.files {
        writeln!(context.out, "# {} ({})", clean(name), clean(&file.content_type))?;
        for line in file.body.lines() {
            writeln!(context.out, "{}", clean(line))?;
        }
    }
    Ok(())
}

async fn set(target: ConfigTarget, args: &ConfigArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let mut files = BTreeMap::new();
    for argument in &args.files {
        let (name, path) = name_and_path(argument, args.files.len());
        let body = std::fs::read_to_string(path)
            .map_err(|error| CliError::Usage(format!("{path} cannot be read as text: {error}")))?;
        let content_type = args.content_type.clone().unwrap_or_else(|| content_type(path).to_owned());
        if files.insert(name.clone(), ConfigFile { body, content_type }).is_some() {
            return Err(CliError::Usage(format!("two files have the name `{name}`; write NAME=FILE")));
        }
    }
    let request = ConfigRequest { target, files };
    let view: ConfigView = context.client()?.put(&["foreign-configs"], &request).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    let whom = clean(&target_text(&view.target));
    Ok(writeln!(context.out, "revision {} is set for {whom}", view.revision)?)
}

async fn remove(target: &ConfigTarget, context: &mut Context<'_>) -> Result<(), CliError> {
    let found = configs(context).await?.into_iter().find(|config| config.target == *target);
    let config = found.ok_or_else(nothing_set)?;
    context.client()?.delete(&["foreign-configs", &config.revision.to_string()]).await?;
    Ok(writeln!(context.err, "removed; agents go on with it until they are given another")?)
}

/// `NAME=FILE`, or a file under its own name; a single file has the empty name, as OpAMP suggests.
fn name_and_path(argument: &str, files: usize) -> (String, &str) {
    match argument.split_once('=') {
        Some((name, path)) if !name.contains('/') => (name.to_owned(), path),
        Some(_) | None if files == 1 => (String::new(), argument),
        Some(_) | None => {
            let name = Path::new(argument).file_name().map(|name| name.to_string_lossy().into_owned());
            (name.unwrap_or_default(), argument)
        }
    }
}

fn content_type(path: &str) -> &'static str {
    let ending = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "yaml" | "yml" => "text/yaml",
        "json" => "application/json",
        "toml" => "application/toml",
        _ => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_of_files() {
        let cases = [
            ("a/b.yaml", 1, ("", "a/b.yaml"), "text/yaml"),
            ("a/b.JSON", 2, ("b.JSON", "a/b.JSON"), "application/json"),
            ("main=x.conf", 1, ("main", "x.conf"), "text/plain"),
            ("./a=b.toml", 2, ("a=b.toml", "./a=b.toml"), "application/toml"),
        ];
        for (argument, files, (name, path), kind) in cases {
            let got = name_and_path(argument, files);
            assert_eq!((got.0.as_str(), got.1, content_type(got.1)), (name, path, kind), "{argument}");
        }
    }
}
