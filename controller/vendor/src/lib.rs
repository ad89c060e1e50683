//! What the vendor's programs share: reading, writing and using secret keys, which never come near a controller.
#![forbid(unsafe_code)]

pub mod release;

use anyhow::{Context as _, ensure};
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use std::io::{Cursor, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Reads a text.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Writes a file that must not exist.
///
/// # Errors
/// If it exists, or cannot be written.
pub fn write(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
}

/// Makes a key pair for `what`, and prints the public key; the secret one is locked by a password, which is asked for.
///
/// # Errors
/// If a file exists or cannot be written, or the passwords differ.
pub fn keygen(what: &str, secret: &Path, public: &Path, unlocked: bool) -> anyhow::Result<()> {
    ensure!(!public.exists(), "{} exists already", public.display());
    let (pair, locked) = if unlocked {
        let pair = KeyPair::generate_unencrypted_keypair()?;
        let text = pair.sk.to_box(Some(&format!("{what} secret key, NOT locked")))?.into_string();
        (pair, text)
    } else {
        let password = rpassword::prompt_password("Password of the new key: ")?;
        ensure!(!password.is_empty(), "a key without a password is made by --unlocked only");
        ensure!(password == rpassword::prompt_password("Again: ")?, "the passwords differ; nothing was made");
        let pair = KeyPair::generate_encrypted_keypair(Some(password))?;
        let text = pair.sk.to_box(Some(&format!("{what} secret key")))?.into_string();
        (pair, text)
    };
    write(secret, 0o600, &format!("{}\n", locked.trim_end()))?;
    write(public, 0o644, &format!("{}\n", pair.pk.to_base64()))?;
    println!("{}", pair.pk.to_base64());
    Ok(())
}

/// Reads a secret key; its password is asked for where it has one.
///
/// # Errors
/// If it is none, or the password is wrong.
pub fn secret_key(path: &Path) -> anyhow::Result<SecretKey> {
    let text = read(path)?;
    let wrong = || format!("{} is no secret key", path.display());
    let locked = SecretKeyBox::from_string(&text).with_context(wrong)?;
    if let Ok(key) = SecretKeyBox::from_string(&text).with_context(wrong)?.into_unencrypted_secret_key() {
        return Ok(key);
    }
    let password = rpassword::prompt_password(format!("Password of {}: ", path.display()))?;
    locked
        .into_secret_key(Some(password))
        .with_context(|| format!("{}: the password is wrong", path.display()))
}

/// Signs bytes; the comment is trusted, since it is signed too.
///
/// # Errors
/// If the key cannot sign.
pub fn sign(key: &SecretKey, bytes: &[u8], comment: &str) -> anyhow::Result<String> {
    Ok(minisign::sign(None, key, Cursor::new(bytes), Some(comment), None)?.into_string())
}
