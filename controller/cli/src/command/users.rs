//! `users`.

use super::Context;
use super::login::given_password;
use crate::admin_args::UsersCommand;
use crate::error::CliError;
use crate::output::{Style, Tone, ago, cell, plain, print_json, print_table};
use comfy_table::Table;
use jiff::Timestamp;
use muster_proto::api::{PasswordReset, Role, UserChange, UserCreated, UserRequest, UserView};
use std::path::Path;

pub(super) async fn users(command: UsersCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        UsersCommand::List => list(context).await,
        UsersCommand::Create { name, role, password_file } => {
            create(name, role, password_file.as_deref(), context).await
        }
        UsersCommand::Role { name, role } => {
            let change = UserChange { role: Some(role), disabled: None };
            changed(&name, &change, &format!("{name} is {role} from now on"), context).await
        }
        UsersCommand::Disable { name } => {
            let change = UserChange { role: None, disabled: Some(true) };
            changed(&name, &change, &format!("{name} cannot sign in any more"), context).await
        }
        UsersCommand::Enable { name } => {
            let change = UserChange { role: None, disabled: Some(false) };
            changed(&name, &change, &format!("{name} can sign in again"), context).await
        }
        UsersCommand::Delete { name } => {
            context.client()?.delete(&["users", &name]).await?;
            writeln!(context.err, "user deleted")?;
            Ok(())
        }
        UsersCommand::ResetPassword { name, password_file } => {
            reset_password(&name, password_file.as_deref(), context).await
        }
    }
}

fn table(users: &[UserView], now: Timestamp, style: Style) -> Table {
    let mut table = style.table(&["NAME", "ROLE", "STATE", "SESSIONS", "LAST LOGIN", "CREATED"]);
    for user in users {
        let state = match (user.disabled, user.password_is_initial) {
            (true, _) => cell("disabled", Tone::Bad),
            (false, true) => cell("initial password", Tone::Warn),
            (false, false) => cell("active", Tone::Good),
        };
        table.add_row([
            plain(&user.name),
            plain(user.role.as_str()),
            state,
            plain(user.sessions.to_string()),
            plain(ago(user.last_login, now)),
            plain(ago(Some(user.created_at), now)),
        ]);
    }
    table
}

async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let users: Vec<UserView> = context.client()?.list(&["users"]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &users)?);
    }
    Ok(print_table(context.out, &table(&users, Timestamp::now(), context.style))?)
}

/// Prints a one-time password alone on standard output, so that a program can take it.
fn tell(created: &UserCreated, context: &mut Context<'_>) -> Result<(), CliError> {
    if context.style.json {
        return Ok(print_json(context.out, created)?);
    }
    if let Some(password) = &created.password {
        writeln!(context.out, "{password}")?;
        writeln!(
            context.err,
            "one-time password of {}, shown only now; to be changed with `muster passwd`",
            created.user.name
        )?;
    }
    Ok(())
}

async fn create(
    name: String,
    role: Role,
    password_file: Option<&Path>,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let password = given_password(password_file)?.map(|p| p.to_string());
    let request = UserRequest { name, role, password };
    let created: UserCreated = context.client()?.post(&["users"], &request).await?;
    tell(&created, context)?;
    writeln!(context.err, "{} is {} now", created.user.name, created.user.role)?;
    Ok(())
}

async fn reset_password(
    name: &str,
    password_file: Option<&Path>,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let request = PasswordReset { password: given_password(password_file)?.map(|p| p.to_string()) };
    let created: UserCreated = context.client()?.post(&["users", name, "password"], &request).await?;
    tell(&created, context)?;
    writeln!(context.err, "password changed; the sessions of {name} have ended")?;
    Ok(())
}

async fn changed(
    name: &str,
    change: &UserChange,
    said: &str,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let client = context.client()?;
    let user: UserView = client.change(&["users", name], change).await?;
    if context.style.json {
        return Ok(print_json(context.out, &user)?);
    }
    writeln!(context.err, "{said}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_users() {
        let at = |s: &str| s.parse::<Timestamp>().unwrap();
        let user = |name: &str, disabled, password_is_initial, last_login: Option<&str>| UserView {
            name: name.to_owned(),
            role: Role::Operator,
            disabled,
            password_is_initial,
            created_at: at("2026-11-20T04:00:00Z"),
            last_login: last_login.map(at),
            sessions: 2,
        };
        let style = Style { json: false, colour: false, terminal: false };
        let users = [
            user("maria", false, false, Some("2026-11-22T03:00:00Z")),
            user("otto", true, true, None),
            user("eva", false, true, None),
        ];
        let mut out = Vec::new();
        print_table(&mut out, &table(&users, at("2026-11-22T04:00:00Z"), style)).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            " NAME   ROLE      STATE             SESSIONS  LAST LOGIN  CREATED\n\
            \u{20}maria  operator  active            2         60 min ago  2 d ago\n\
            \u{20}otto   operator  disabled          2         never       2 d ago\n\
            \u{20}eva    operator  initial password  2         never       2 d ago\n"
        );
    }
}
