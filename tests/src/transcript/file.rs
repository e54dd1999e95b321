//! A transcript as a file: parsing and writing back, remarks and empty lines included.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Expect;
use crate::words;

pub(super) const WAITS: &str = "(waits)";
pub(super) const NO_REPLY: &str = "(no reply)";
pub(super) const CLOSED: &str = "(closed)";
pub(super) const UNTIL: &str = "(until)";
pub(super) const ANY_ORDER: &str = "(any order)";
const REDIS: &str = "[redis]";
const HOLDFAST: &str = "[holdfast]";

/// A transcript that was read.
pub struct Transcript {
    pub(super) name: String,
    pub(super) items: Vec<Item>,
}

pub(super) enum Item {
    /// A remark or an empty line, kept as it stands.
    Text(String),
    Step(Step),
}

pub(super) struct Step {
    pub(super) line: usize,
    pub(super) connection: u32,
    pub(super) action: Action,
    /// The line that asks, as written.
    asks: String,
    pub(super) redis: Vec<String>,
    holdfast: Option<Alternative>,
}

pub(super) enum Action {
    Send(Vec<Vec<u8>>),
    Read,
}

struct Alternative {
    reason: String,
    lines: Vec<String>,
}

/// Which reply the lines being read belong to.
#[derive(Clone, Copy)]
enum Section {
    Redis,
    Holdfast,
}

impl Transcript {
    /// Reads the transcript at `path`.
    ///
    /// # Errors
    /// An unreadable file, or a line that is neither remark, command nor reply; the message says which.
    pub fn read(path: &Path) -> Result<Transcript> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Transcript::parse(&name, &text)
    }

    /// Parses a transcript; `name` is what messages call it.
    ///
    /// # Errors
    /// As for [`Transcript::read`].
    pub fn parse(name: &str, text: &str) -> Result<Transcript> {
        let mut items: Vec<Item> = Vec::new();
        let mut section = Section::Redis;
        for (index, line) in text.lines().enumerate() {
            let place = || format!("{name}:{}", index + 1);
            if line.trim().is_empty() || line == "#" || line.starts_with("# ") {
                items.push(Item::Text(line.to_owned()));
            } else if let Some((connection, action)) = parse_asking(line).with_context(place)? {
                let asks = line.to_owned();
                let step = Step {
                    line: index + 1,
                    connection,
                    action,
                    asks,
                    redis: Vec::new(),
                    holdfast: None,
                };
                items.push(Item::Step(step));
                section = Section::Redis;
            } else {
                let Some(Item::Step(step)) = items.last_mut() else {
                    bail!("{}: a reply without a command", place())
                };
                section = step.add_line(section, line).with_context(place)?;
            }
        }
        Ok(Transcript {
            name: name.to_owned(),
            items,
        })
    }

    /// The file's text; parsing it gives the same transcript.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            let lines = match item {
                Item::Text(line) => vec![line.clone()],
                Item::Step(step) => step.to_lines(),
            };
            for line in lines {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }

    pub(super) fn place(&self, step: &Step) -> String {
        format!("{}:{}", self.name, step.line)
    }
}

impl Step {
    pub(super) fn expected(&self, expect: Expect) -> &[String] {
        match (expect, &self.holdfast) {
            (Expect::Holdfast, Some(alternative)) => &alternative.lines,
            (Expect::Holdfast, None) | (Expect::Redis, _) => &self.redis,
        }
    }

    pub(super) fn title(&self) -> &str {
        &self.asks
    }

    /// SUBSCRIBE and its kin reply once per channel; everything else once.
    pub(super) fn likely_replies(&self) -> usize {
        let Action::Send(args) = &self.action else {
            return 1;
        };
        let Some((name, rest)) = args.split_first() else {
            return 1;
        };
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let many = [
            "subscribe",
            "psubscribe",
            "ssubscribe",
            "unsubscribe",
            "punsubscribe",
            "sunsubscribe",
        ];
        if many.contains(&name.as_str()) {
            rest.len().max(1)
        } else {
            1
        }
    }

    fn add_line(&mut self, section: Section, line: &str) -> Result<Section> {
        if line == REDIS {
            return Ok(Section::Redis);
        }
        if let Some(reason) = line.strip_prefix(HOLDFAST) {
            let reason = reason.trim().to_owned();
            anyhow::ensure!(!reason.is_empty(), "a difference needs its reason");
            self.holdfast = Some(Alternative {
                reason,
                lines: Vec::new(),
            });
            return Ok(Section::Holdfast);
        }
        match (section, &mut self.holdfast) {
            (Section::Holdfast, Some(alternative)) => alternative.lines.push(line.to_owned()),
            (Section::Holdfast, None) | (Section::Redis, _) => self.redis.push(line.to_owned()),
        }
        Ok(section)
    }

    fn to_lines(&self) -> Vec<String> {
        let mut lines = vec![self.asks.clone()];
        if self.holdfast.is_some() {
            lines.push(REDIS.to_owned());
        }
        lines.extend(self.redis.iter().cloned());
        if let Some(alternative) = &self.holdfast {
            lines.push(format!("{HOLDFAST} {}", alternative.reason));
            lines.extend(alternative.lines.iter().cloned());
        }
        lines
    }
}

/// `> WORDS`, `2> WORDS` or `2<`; `None` when the line asks nothing.
fn parse_asking(line: &str) -> Result<Option<(u32, Action)>> {
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = line.split_at(digits);
    let connection = if number.is_empty() { 1 } else { number.parse()? };
    if !number.is_empty() && rest.trim_end() == "<" {
        return Ok(Some((connection, Action::Read)));
    }
    match rest.strip_prefix("> ") {
        Some(words) => Ok(Some((connection, Action::Send(words::split(words)?)))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "# A remark.\n\n> SET k v\n+OK\n2> OBJECT ENCODING s\n[redis]\n\"hashtable\"\n\
                          [holdfast] since 7.2\n\"listpack\"\n2<\n*1\n  \"x\"\n";

    #[test]
    fn writing_back_gives_the_same_text() {
        assert_eq!(Transcript::parse("sample", SAMPLE).unwrap().to_text(), SAMPLE);
    }

    #[test]
    fn each_side_has_its_own_expectation() {
        let transcript = Transcript::parse("sample", SAMPLE).unwrap();
        let Some(Item::Step(step)) = transcript.items.get(3) else {
            panic!("the fourth item is a step")
        };
        assert_eq!(step.expected(Expect::Redis), ["\"hashtable\""]);
        assert_eq!(step.expected(Expect::Holdfast), ["\"listpack\""]);
        assert_eq!(step.connection, 2);
    }

    #[test]
    fn a_difference_without_reason_is_refused() {
        assert!(Transcript::parse("x", "> PING\n[holdfast]\n+PONG\n").is_err());
        assert!(Transcript::parse("x", "+PONG\n").is_err());
    }
}
