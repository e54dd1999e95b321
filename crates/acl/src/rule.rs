//! What can be wrong with a rule, and rules that stretch over several words.

use std::borrow::Cow;

/// Why a rule was refused. The texts are those of redis-server 7.0.15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No such command, subcommand or category.
    #[error("Unknown command or category name in ACL")]
    UnknownCommand,
    /// No rule at all.
    #[error("Syntax error")]
    Syntax,
    /// A key pattern where all keys are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    AllKeys,
    /// A channel pattern where all channels are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    AllChannels,
    /// A password to take away that is not there.
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    /// No list of databases.
    #[error("The databases must be numbers, separated by commas")]
    Database,
    /// No SHA-256 in lower-case hexadecimal digits.
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
    )]
    BadHash,
    /// `+config|get|x`
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgOfSubcommand,
    /// More passwords, patterns or selectors than a user may have.
    #[error("The user would have too many passwords, patterns or selectors")]
    TooMany,
}

impl RuleError {
    /// True if the rule that it is about may be shown: it holds no password.
    pub fn is_public(self) -> bool {
        self == Self::UnknownCommand
    }
}

/// Puts the words of a selector together, which stand between parentheses: `(+get`, `~a)` become one rule.
///
/// # Errors
/// The word with the parenthesis that nothing closes.
pub fn join_selectors<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Cow<'a, [u8]>>, &'a [u8]> {
    let mut rules = Vec::new();
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for word in words {
        let closes = word.ends_with(b")");
        match &mut open {
            None if word.starts_with(b"(") && !closes => open = Some((word, word.to_vec())),
            None => rules.push(Cow::Borrowed(word)),
            Some((_, joined)) => {
                joined.push(b' ');
                joined.extend_from_slice(word);
                if closes {
                    rules.push(Cow::Owned(std::mem::take(joined)));
                    open = None;
                }
            }
        }
    }
    match open {
        None => Ok(rules),
        Some((first, _)) => Err(first),
    }
}

/// True if the text holds what would end a word in a file.
pub(crate) fn has_space(text: &[u8]) -> bool {
    text.iter()
        .any(|&b| b == 0 || b == 0x0b || b.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(words: &[&str]) -> Result<Vec<String>, String> {
        match join_selectors(words.iter().map(|w| w.as_bytes())) {
            Ok(rules) => Ok(rules
                .iter()
                .map(|r| String::from_utf8_lossy(r).into_owned())
                .collect()),
            Err(word) => Err(String::from_utf8_lossy(word).into_owned()),
        }
    }

    #[test]
    fn words_between_parentheses_are_one_rule() {
        assert_eq!(
            joined(&["on", "(+get", "~a)", "~b"]).unwrap(),
            ["on", "(+get ~a)", "~b"]
        );
        assert_eq!(joined(&["(", "(", "~a", ")"]).unwrap(), ["( ( ~a )"]);
        assert_eq!(joined(&["()", ")"]).unwrap(), ["()", ")"]);
        assert_eq!(joined(&["on", "(+get", "~a"]).unwrap_err(), "(+get");
    }
}
