//! One file per subcommand. Each asks the controller, then prints; what is printed from which values is a
//! function of its own, so that it can be tested without a controller.

mod agents;
mod api_token;
mod audit_log;
mod backup;
mod ca;
mod config;
mod decision;
mod diagnostics;
mod events;
mod history;
mod lease;
mod licence;
mod login;
mod made;
mod package;
mod policy;
mod proposals;
mod rates;
mod rollout;
mod sessions;
mod settings;
mod token;
mod users;

use crate::Environment;
use crate::args::{AgentsCommand, CaCommand, Cli, Command, PolicyCommand, TokenCommand};
use crate::client::{Client, Notice, parse_url};
use crate::error::CliError;
use crate::output::Style;
use crate::profile::{Profile, ProfileStore};
use crate::trust::Authority;
use clap::CommandFactory;
use muster_proto::api::PinRequest;
use std::io::Write;

/// What every command gets.
pub(crate) struct Context<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) style: Style,
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut dyn Write,
    pub(crate) profile: String,
    pub(crate) notice: Notice,
}

impl Context<'_> {
    /// Where logins are kept.
    fn profiles(&self) -> Result<ProfileStore, CliError> {
        ProfileStore::new(self.environment.config_dir.as_deref())
    }

    /// The profile, if there is a session in it.
    fn logged_in(&self) -> Result<Option<Profile>, CliError> {
        Ok(self.profiles()?.load(&self.profile)?.filter(|profile| profile.session.is_some()))
    }

    /// A client with the session of the profile.
    fn client(&self) -> Result<Client, CliError> {
        match self.logged_in()? {
            Some(profile) => Ok(client_of(&profile)?.with_notice(self.notice.clone())),
            None => Err(CliError::NotLoggedIn { profile: self.profile.clone() }),
        }
    }
}

/// A client with what a profile holds.
fn client_of(profile: &Profile) -> Result<Client, CliError> {
    let authority = Authority::from_pem(profile.ca_pem.as_bytes()).ok_or_else(|| {
        CliError::Local("the profile holds no certificate: run `muster login` again".to_owned())
    })?;
    Client::new(parse_url(&profile.url)?, &authority, profile.session.clone())
}

/// Runs a command.
pub(crate) async fn dispatch(command: Command, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        Command::Login(args) => login::login(args, context).await,
        Command::Logout => login::logout(context).await,
        Command::Password(args) => login::password(args, context).await,
        Command::Token(TokenCommand::Create(args)) => token::create(args, context).await,
        Command::Token(TokenCommand::List) => token::list(context).await,
        Command::Token(TokenCommand::Delete { id }) => token::delete(&id, context).await,
        Command::Agents(args) => match args.command.unwrap_or_default() {
            AgentsCommand::List(list) => agents::list(list.or(args.list), context).await,
            AgentsCommand::Show { agent } => agents::show(&agent, context).await,
            AgentsCommand::Label { agent, changes } => agents::label(&agent, changes, context).await,
            AgentsCommand::Policy { agent } => policy::effective::show(&agent, context).await,
            AgentsCommand::Maintenance(args) => agents::maintenance(args, context).await,
            AgentsCommand::Diagnostics(args) => diagnostics::run(args, context).await,
            AgentsCommand::Restart { agent } => agents::restart(&agent, context).await,
            AgentsCommand::Config(args) => config::config(args, context).await,
            AgentsCommand::Remove { agent } => agents::remove(&agent, context).await,
            AgentsCommand::Pin { agent, version, reason } => {
                agents::pin(&agent, PinRequest { version, reason }, context).await
            }
            AgentsCommand::Unpin { agent } => agents::unpin(&agent, context).await,
            AgentsCommand::Pending => decision::pending(context).await,
            AgentsCommand::Approve(args) => decision::enrolment("approve", args, context).await,
            AgentsCommand::Deny(args) => decision::enrolment("deny", args, context).await,
            AgentsCommand::Revoke(args) => decision::agent("revoke", args, context).await,
            AgentsCommand::Quarantine(args) => decision::agent("quarantine", args, context).await,
            AgentsCommand::Release(args) => decision::agent("release", args, context).await,
            AgentsCommand::Decommission(args) => decision::decommission(args, context).await,
        },
        Command::Ca(CaCommand::Show) => ca::show(context).await,
        Command::Ca(CaCommand::RollOver { finish, force }) => ca::roll_over(finish, force, context).await,
        Command::Policy(command) => match command {
            PolicyCommand::Validate { files, offline } => policy::validate(&files, offline, context).await,
            PolicyCommand::Apply(args) => policy::apply::run(args, context).await,
            PolicyCommand::Preview { path, prune, events } => {
                policy::preview::run(&path, prune, events, context).await
            }
            PolicyCommand::Test(args) => policy::trial::run(args, context).await,
            PolicyCommand::Revert { policy, to, comment } => {
                policy::revert(&policy, to, comment, context).await
            }
            PolicyCommand::Remove { policy, comment } => policy::remove(&policy, &comment, context).await,
            PolicyCommand::Draft(command) => policy::draft::run(command, context).await,
            PolicyCommand::Schema => policy::schema(context),
            PolicyCommand::Show { policy } => policy::show(policy.as_deref(), context).await,
            PolicyCommand::Status { policy } => policy::status(&policy, context).await,
            PolicyCommand::History { policy } => policy::history(policy.as_deref(), context).await,
            PolicyCommand::Diff { a, b } => policy::diff(&a, &b, context).await,
        },
        Command::Events(command) => events::run(command, context).await,
        Command::Lease(command) => lease::lease(command, context).await,
        Command::Backup(command) => backup::backup(command, context).await,
        Command::Package(command) => package::package(command, context).await,
        Command::Licence(command) => licence::licence(command, context).await,
        Command::Rollout(command) => rollout::run(command, context).await,
        Command::Rates(args) if args.history.is_some() => {
            let span = args.history.unwrap_or_default();
            history::show(&args, span, context).await
        }
        Command::Rates(args) => rates::rates(&args, context).await,
        Command::Users(command) => users::users(command, context).await,
        Command::ApiToken(command) => api_token::api_token(command, context).await,
        Command::Sessions(command) => sessions::sessions(command, context).await,
        Command::AuditLog(command) => audit_log::audit_log(command, context).await,
        Command::Proposals(command) => proposals::proposals(command, context).await,
        Command::Settings(command) => settings::settings(command, context).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "muster", &mut script);
            Ok(context.out.write_all(&script)?)
        }
    }
}
