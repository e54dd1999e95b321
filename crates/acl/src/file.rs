//! Users as lines: `user <name> <rule> <rule> ...`. The whole file holds or nothing of it.

use std::collections::BTreeSet;

use crate::catalog::Defaults;
use crate::rule::{RuleError, join_selectors};
use crate::user::User;
use crate::users::check_name;

/// Faults that are told of at most; a file may have any number.
const MOST_FAULTS: usize = 32;

/// A user of a file.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The name.
    pub name: Box<[u8]>,
    /// The user.
    pub user: User,
}

/// Reads the users of a file; `path` is for errors.
///
/// # Errors
/// What is wrong, line by line, in the words of redis-server 7.0.15.
pub fn parse_file(path: &str, text: &[u8], defaults: &Defaults<'_>) -> Result<Vec<Declared>, String> {
    let mut users: Vec<Declared> = Vec::new();
    let mut names: BTreeSet<Box<[u8]>> = BTreeSet::new();
    let mut faults: Vec<String> = Vec::new();
    for (index, line) in text.split(|&b| b == b'\n').enumerate() {
        let (number, line) = (index + 1, line.trim_ascii());
        if line.is_empty() {
            continue;
        }
        if faults.len() >= MOST_FAULTS {
            break;
        }
        let words: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
        let [b"user", name, rules @ ..] = words.as_slice() else {
            faults.push(format!(
                "{path}:{number} should start with user keyword followed by the username. "
            ));
            continue;
        };
        if check_name(name).is_err() {
            let name = String::from_utf8_lossy(name);
            faults.push(format!(
                "{path}:{number}: username '{name}' contains invalid characters. "
            ));
            continue;
        }
        if !names.insert((*name).into()) {
            let name = String::from_utf8_lossy(name);
            faults.push(format!(
                "WARNING: Duplicate user '{name}' found on line {number}. "
            ));
            continue;
        }
        match user(rules, defaults) {
            Ok(user) => users.push(Declared {
                name: (*name).into(),
                user,
            }),
            Err(Fault::Open) => faults.push(format!(
                "{path}:{number}: Unmatched parenthesis in selector definition. "
            )),
            Err(Fault::Rule(rule, error)) if error.is_public() => faults.push(format!(
                "{path}:{number}: Error in applying operation '{rule}': {error}. "
            )),
            Err(Fault::Rule(_, error)) => faults.push(format!("{path}:{number}: {error}. ")),
        }
    }
    if faults.is_empty() {
        return Ok(users);
    }
    faults.push(
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed".into(),
    );
    Err(faults.concat())
}

/// The text of a file with these users.
pub fn print_file<'a>(users: impl IntoIterator<Item = (&'a [u8], Vec<u8>)>) -> Vec<u8> {
    let line = |(name, rules): (&[u8], Vec<u8>)| [b"user ", name, b" ", &rules, b"\n"].concat();
    users.into_iter().flat_map(line).collect()
}

enum Fault {
    Open,
    Rule(String, RuleError),
}

fn user(rules: &[&[u8]], defaults: &Defaults<'_>) -> Result<User, Fault> {
    let mut user = User::new(defaults);
    let words = rules.iter().map(|word| word.trim_ascii());
    for rule in join_selectors(words).map_err(|_| Fault::Open)? {
        user.apply(&rule, defaults)
            .map_err(|error| Fault::Rule(String::from_utf8_lossy(&rule).into_owned(), error))?;
    }
    Ok(user)
}

#[cfg(test)]
mod tests;
