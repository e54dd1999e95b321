//! Which arguments nobody may read in a log or in MONITOR: passwords.

use holdfast_resp::Frame;

use crate::config::{Kind, Param};
use crate::registry::Entry;

/// What is shown in place of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// Tells of each argument of a command whether it is secret.
#[derive(Clone, Copy, Debug)]
pub enum Secrets {
    /// None is.
    None,
    /// All from this one on.
    From(usize),
    /// Those of an option of HELLO or MIGRATE: first and behind the last.
    Span(usize, usize),
    /// Values of directives that are secret, in CONFIG SET.
    Directives,
}

impl Secrets {
    /// Looks at a command.
    pub fn of(entry: &Entry, frame: &Frame<'_>) -> Self {
        match entry.spec.name {
            "auth" => Self::From(1),
            "acl|setuser" => Self::From(2),
            "config|set" => Self::Directives,
            "hello" => option(frame, 2, &[("AUTH", 2), ("SETNAME", 1)]),
            "migrate" => option(
                frame,
                6,
                &[("AUTH", 1), ("AUTH2", 2), ("COPY", 0), ("REPLACE", 0)],
            ),
            _ => Self::None,
        }
    }

    /// Argument `index` as others may see it.
    pub fn show<'a>(&self, frame: &Frame<'a>, index: usize) -> &'a [u8] {
        let is_secret = match *self {
            Self::None => false,
            Self::From(first) => index >= first,
            Self::Span(first, end) => (first..end).contains(&index),
            Self::Directives => index >= 3 && index % 2 == 1 && is_secret_directive(frame.arg(index - 1)),
        };
        if is_secret { REDACTED } else { frame.arg(index) }
    }
}

/// The words that follow AUTH among options, each of which takes some words.
fn option(frame: &Frame<'_>, first: usize, options: &[(&str, usize)]) -> Secrets {
    let mut at = first;
    while let Some(word) = frame.get(at) {
        let known = options
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        let Some((name, words)) = known else { break };
        if name.starts_with("AUTH") {
            return Secrets::Span(at + 1, at + 1 + words);
        }
        at += 1 + words;
    }
    Secrets::None
}

fn is_secret_directive(name: &[u8]) -> bool {
    Param::find(name)
        .is_some_and(|param| matches!(param.row().kind, Kind::Secret) || param == Param::Masteruser)
}

#[cfg(test)]
mod tests {
    use holdfast_resp::OwnedFrame;

    use super::*;
    use crate::registry::Registry;

    fn shown(line: &str) -> String {
        let owned = OwnedFrame::from_args(line.split(' ').map(str::as_bytes));
        let frame = owned.frame().unwrap();
        let entry = Registry::get().resolve(&frame).unwrap();
        let secrets = Secrets::of(entry, &frame);
        let words = (0..frame.len()).map(|i| String::from_utf8_lossy(secrets.show(&frame, i)).into_owned());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn passwords_are_hidden() {
        for (line, expected) in [
            ("AUTH p", "AUTH (redacted)"),
            ("auth u p", "auth (redacted) (redacted)"),
            (
                "HELLO 3 auth u p SETNAME n",
                "HELLO 3 auth (redacted) (redacted) SETNAME n",
            ),
            (
                "HELLO 3 SETNAME auth AUTH u p",
                "HELLO 3 SETNAME auth AUTH (redacted) (redacted)",
            ),
            ("HELLO 3 SETNAME n", "HELLO 3 SETNAME n"),
            (
                "CONFIG SET requirepass p maxmemory 1 masterauth q",
                "CONFIG SET requirepass (redacted) maxmemory 1 masterauth (redacted)",
            ),
            ("CONFIG GET requirepass", "CONFIG GET requirepass"),
            ("SET auth p", "SET auth p"),
        ] {
            assert_eq!(shown(line), expected);
        }
    }
}
