//! `login`, `logout`, `password`.

use super::{Context, client_of};
use crate::args::{LoginArgs, PasswordArgs};
use crate::client::{Client, parse_url};
use crate::error::CliError;
use crate::profile::Profile;
use crate::trust::{self, Authority};
use muster_proto::api::{LoginReply, LoginRequest, PasswordChange};
use reqwest::Url;
use std::io::{BufRead, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Longest password file that is read.
const LONGEST_PASSWORD: u64 = 4_096;

pub(super) async fn login(args: LoginArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let store = context.profiles()?;
    let known = store.load(&context.profile)?;
    let url = match (&args.url, &known) {
        (Some(text), _) => parse_url(text)?,
        (None, Some(profile)) => parse_url(&profile.url)?,
        (None, None) => return Err(CliError::NotLoggedIn { profile: context.profile.clone() }),
    };
    let authority = authority(&args, &url, known.as_ref(), context)?;
    let user = args
        .user
        .or_else(|| known.filter(|p| p.url == url.as_str()).map(|p| p.user))
        .unwrap_or_else(|| "admin".to_owned());
    let password = if args.password_stdin {
        first_line(&mut std::io::stdin().lock(), "standard input")?
    } else {
        password_from(
            args.password_file.as_deref(),
            &format!("Password of {user}: "),
            "--password-file or --password-stdin",
            context,
        )?
    };
    let request = LoginRequest { user: user.clone(), password: password.as_str().to_owned() };
    let client = Client::new(url.clone(), &authority, None)?;
    let reply: LoginReply = client.post(&["login"], &request).await?;
    let profile = Profile { url: url.to_string(), user, ca_pem: authority.pem(), session: Some(reply.token) };
    let path = store.save(&context.profile, &profile)?;
    if context.style.json {
        let told = serde_json::json!({
            "url": profile.url, "user": profile.user, "expires_at": reply.expires_at,
            "password_is_initial": reply.password_is_initial, "profile": path,
            "ca_sha256": authority.fingerprint(),
        });
        return Ok(crate::output::print_json(context.out, &told)?);
    }
    writeln!(context.out, "logged in to {} as {} until {}", profile.url, profile.user, reply.expires_at)?;
    if reply.password_is_initial {
        writeln!(
            context.err,
            "the password is still the one of the first start: change it with `muster password`"
        )?;
    }
    Ok(())
}

/// Whom to trust: what the command line says, else what the profile knows, else what a person confirms.
fn authority(
    args: &LoginArgs,
    url: &Url,
    known: Option<&Profile>,
    context: &mut Context<'_>,
) -> Result<Authority, CliError> {
    if let Some(path) = &args.ca {
        let text = std::fs::read(path).map_err(CliError::file("read", path))?;
        return Authority::from_pem(&text)
            .ok_or_else(|| CliError::Usage(format!("{} holds no certificate (PEM)", path.display())));
    }
    if let Some(text) = &args.fingerprint {
        let wanted = trust::parse_fingerprint(text)?;
        return trust::choose(&trust::look(url)?, &wanted, url.as_str());
    }
    if let Some(authority) =
        known.filter(|p| p.url == url.as_str()).and_then(|p| Authority::from_pem(p.ca_pem.as_bytes()))
    {
        return Ok(authority);
    }
    let authority = trust::last(&trust::look(url)?, url.as_str())?;
    let fingerprint = authority.fingerprint();
    if !context.environment.stdin_terminal || args.password_stdin {
        return Err(CliError::Untrusted {
            url: url.to_string(),
            reason: format!(
                "it is not known yet; the SHA-256 fingerprint of its authority is\n    {fingerprint}\n  \
                 compare it with the controller's own (openssl x509 -in ca.crt -noout -fingerprint -sha256),\n  \
                 then log in with --fingerprint {fingerprint}, or with --ca and a copy of ca.crt"
            ),
        });
    }
    writeln!(
        context.err,
        "{url} is not known yet. The SHA-256 fingerprint of its authority is\n  {fingerprint}\n\
         The controller printed it at its first start; on its host:\n  \
         openssl x509 -in ca.crt -noout -fingerprint -sha256"
    )?;
    write!(context.err, "Is it the same? [y/N] ")?;
    context.err.flush()?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .take(16)
        .read_line(&mut answer)
        .map_err(CliError::file("read", "standard input"))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(authority)
    } else {
        Err(CliError::Untrusted {
            url: url.to_string(),
            reason: "you did not confirm its fingerprint".to_owned(),
        })
    }
}

pub(super) async fn logout(context: &mut Context<'_>) -> Result<(), CliError> {
    let store = context.profiles()?;
    let Some(profile) = context.logged_in()? else {
        writeln!(context.err, "not logged in")?;
        return Ok(());
    };
    // The session is forgotten here whatever the controller says; it ends by itself there at the latest.
    let ended = client_of(&profile)?.post_unanswered(&["logout"], &serde_json::json!({})).await;
    store.save(&context.profile, &Profile { session: None, ..profile })?;
    match ended {
        Ok(()) => {}
        Err(CliError::Controller(problem)) if problem.status == 401 => {}
        Err(error) => writeln!(
            context.err,
            "the session is forgotten here, but the controller could not be told: {error}"
        )?,
    }
    writeln!(context.err, "logged out")?;
    Ok(())
}

pub(super) async fn password(args: PasswordArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let flags = "--current-file and --new-file";
    let current = password_from(args.current_file.as_deref(), "Present password: ", flags, context)?;
    let new = password_from(args.new_file.as_deref(), "New password: ", flags, context)?;
    if args.new_file.is_none() {
        let again = password_from(None, "New password again: ", flags, context)?;
        if again != new {
            return Err(CliError::Usage("the two new passwords differ; nothing was changed".to_owned()));
        }
    }
    let change = PasswordChange { current: current.as_str().to_owned(), new: new.as_str().to_owned() };
    client.post_unanswered(&["password"], &change).await?;
    writeln!(context.err, "password changed")?;
    Ok(())
}

/// From a file, or asked of a person without showing it.
fn password_from(
    file: Option<&Path>,
    prompt: &str,
    flags: &str,
    context: &Context<'_>,
) -> Result<Zeroizing<String>, CliError> {
    match file {
        Some(path) => {
            let mut file = std::fs::File::open(path).map_err(CliError::file("read", path))?;
            first_line(&mut std::io::BufReader::new(&mut file), &path.display().to_string())
        }
        None if context.environment.stdin_terminal => rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(CliError::file("read", "the terminal")),
        None => Err(CliError::Usage(format!("no terminal to ask for the password: use {flags}"))),
    }
}

/// From a file, if one is named.
pub(super) fn given_password(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, CliError> {
    let Some(path) = file else { return Ok(None) };
    let opened = std::fs::File::open(path).map_err(CliError::file("read", path))?;
    first_line(&mut std::io::BufReader::new(opened), &path.display().to_string()).map(Some)
}

fn first_line(from: &mut dyn BufRead, name: &str) -> Result<Zeroizing<String>, CliError> {
    let mut line = Zeroizing::new(String::new());
    from.take(LONGEST_PASSWORD).read_line(&mut line).map_err(CliError::file("read", name))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(CliError::Usage(format!("{name} holds no password on its first line")));
    }
    Ok(Zeroizing::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line() {
        for (content, password) in [("abc\n", "abc"), ("a b \r\nx", "a b "), ("ü", "ü")] {
            assert_eq!(first_line(&mut content.as_bytes(), "f").unwrap().as_str(), password);
        }
        let error = first_line(&mut "\nabc".as_bytes(), "f").unwrap_err();
        assert_eq!(error.to_string(), "f holds no password on its first line");
    }
}
