//! What tests ask a server again and again: a reply on one line, fields of INFO, the digest of its data.

use anyhow::{Context, Result};

use crate::client::Client;

/// The reply to a command line, in the form of [`crate::reply::Reply::lines`] with spaces between the lines.
///
/// # Errors
/// The server does not answer.
pub fn text(client: &mut Client, line: &str) -> Result<String> {
    Ok(client.command(line)?.lines().join(" "))
}

/// A field of a section of INFO; empty if it is not there, as some are in one role only.
///
/// # Errors
/// The server does not answer.
pub fn info(client: &mut Client, section: &str, field: &str) -> Result<String> {
    Ok(look_up(client, section, field)?.unwrap_or_default())
}

/// A field of INFO persistence.
///
/// # Errors
/// The server does not answer, or has no such field.
pub fn persistence(client: &mut Client, field: &str) -> Result<String> {
    look_up(client, "persistence", field)?.with_context(|| format!("INFO persistence has no {field}"))
}

/// A field of a section of INFO that is a number.
///
/// # Errors
/// The server does not answer, or the field is none.
pub fn number(client: &mut Client, section: &str, field: &str) -> Result<u64> {
    let value = info(client, section, field)?;
    value
        .parse()
        .with_context(|| format!("{field} of INFO {section} is {value:?}"))
}

fn look_up(client: &mut Client, section: &str, field: &str) -> Result<Option<String>> {
    let reply = client.call(&["INFO", section])?;
    let text = reply.text().context("INFO answers text")?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.map(str::to_owned))
}

/// DEBUG DIGEST: the same for the same data.
///
/// # Errors
/// The server does not answer.
pub fn digest(client: &mut Client) -> Result<String> {
    let reply = client.command("DEBUG DIGEST")?;
    Ok(reply.text().context("a digest")?.to_owned())
}
