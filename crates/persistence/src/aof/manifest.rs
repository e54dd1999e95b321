//! The manifest: which files, in which order, are the append-only file.
//!
//! ```text
//! file appendonly.aof.2.base.rdb seq 2 type b
//! file appendonly.aof.1.incr.aof seq 1 type h
//! file appendonly.aof.2.incr.aof seq 2 type i
//! ```
//!
//! `b` is the base, `i` an increment, `h` a file that a rewrite has replaced and that is about to be removed.

use std::fmt;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// A snapshot, with which it all begins.
    Base,
    /// Commands after it, or after another increment.
    Increment,
    /// Not needed any more.
    History,
}

impl PartKind {
    const fn letter(self) -> char {
        match self {
            Self::Base => 'b',
            Self::Increment => 'i',
            Self::History => 'h',
        }
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Name, without a directory.
    pub name: String,
    /// Number among the files of its kind, from 1.
    pub seq: u64,
    /// What it is.
    pub kind: PartKind,
}

/// The files, in the order in which they are to be loaded; history aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The base, if there is one.
    pub base: Option<Part>,
    /// The increments, with ascending numbers.
    pub increments: Vec<Part>,
    /// Files to be removed.
    pub history: Vec<Part>,
    /// Highest number of a base up to now.
    base_seq: u64,
    /// Highest number of an increment up to now.
    increment_seq: u64,
}

/// What is wrong with a manifest; the texts are Redis's, which scripts look for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A line cannot be understood.
    #[error("Invalid AOF manifest file format (line {0})")]
    Format(usize),
    /// A name leads out of the directory.
    #[error("File can't be a path, just a filename (line {0})")]
    Path(usize),
    /// A type that is not known.
    #[error("Unknown AOF file type (line {0})")]
    Kind(usize),
    /// Two bases.
    #[error("Found duplicate base file information (line {0})")]
    SecondBase(usize),
    /// An increment with a number that is not higher than the one before.
    #[error("Found a non-monotonic sequence number (line {0})")]
    Order(usize),
    /// A line of more than [`LINE_MAX`] bytes.
    #[error("The AOF manifest file contains too long line (line {0})")]
    TooLong(usize),
}

/// Longest line, in bytes.
const LINE_MAX: usize = 1024;

impl Manifest {
    /// Reads a manifest. A file of comments alone is one without parts.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let mut manifest = Self::default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text.is_empty() {
            return Err(ManifestError::Format(1));
        }
        for (i, line) in text.split(|b| *b == b'\n').enumerate() {
            let number = i + 1;
            if line.len() > LINE_MAX {
                return Err(ManifestError::TooLong(number));
            }
            if line.starts_with(b"#") {
                continue;
            }
            let part = parse_line(line, number)?;
            match part.kind {
                PartKind::Base if manifest.base.is_some() => return Err(ManifestError::SecondBase(number)),
                PartKind::Base => {
                    manifest.base_seq = manifest.base_seq.max(part.seq);
                    manifest.base = Some(part);
                }
                PartKind::Increment => {
                    if manifest
                        .increments
                        .last()
                        .is_some_and(|last| last.seq >= part.seq)
                    {
                        return Err(ManifestError::Order(number));
                    }
                    manifest.increment_seq = manifest.increment_seq.max(part.seq);
                    manifest.increments.push(part);
                }
                PartKind::History => manifest.history.push(part),
            }
        }
        Ok(manifest)
    }

    /// The manifest of a file that was the whole of it.
    pub(super) fn of_single_file(name: &str) -> Self {
        Self {
            base: Some(Part {
                name: name.to_owned(),
                seq: 1,
                kind: PartKind::Base,
            }),
            base_seq: 1,
            ..Self::default()
        }
    }

    /// Takes numbers behind that of a file which no manifest names, so that it is not overwritten. False: the name is no
    /// part's.
    pub(super) fn leave_alone(&mut self, filename: &str, name: &str) -> bool {
        let Some(rest) = name
            .strip_prefix(filename)
            .and_then(|rest| rest.strip_prefix('.'))
        else {
            return false;
        };
        let Some((Ok(seq), kind)) = rest.split_once('.').map(|(seq, kind)| (seq.parse(), kind)) else {
            return false;
        };
        match kind {
            "base.rdb" | "base.aof" => self.base_seq = self.base_seq.max(seq),
            "incr.aof" => self.increment_seq = self.increment_seq.max(seq),
            _ => return false,
        }
        true
    }

    /// Names the next base. The one before, and all increments up to now, become history: the caller adds a new
    /// increment before.
    pub fn next_base(&mut self, filename: &str, suffix: &str) -> Part {
        self.base_seq += 1;
        Part {
            name: format!("{filename}.{}.base.{suffix}", self.base_seq),
            seq: self.base_seq,
            kind: PartKind::Base,
        }
    }

    /// Adds a new increment and returns its name.
    pub fn add_increment(&mut self, filename: &str) -> String {
        self.increment_seq += 1;
        let name = format!("{filename}.{}.incr.aof", self.increment_seq);
        self.increments.push(Part {
            name: name.clone(),
            seq: self.increment_seq,
            kind: PartKind::Increment,
        });
        name
    }

    /// A rewrite is complete: `base` holds everything before increment number `first`. What it replaces becomes history.
    pub fn rebase(&mut self, base: Part, first: u64) {
        let old = self.base.replace(base);
        let at = self.increments.partition_point(|part| part.seq < first);
        let replaced = old.into_iter().chain(self.increments.drain(..at));
        self.history.extend(replaced.map(|part| Part {
            kind: PartKind::History,
            ..part
        }));
    }

    /// The files to load, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.increments)
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.base.iter().chain(&self.history).chain(&self.increments) {
            let Part { name, seq, kind } = part;
            writeln!(f, "file {} seq {seq} type {}", Quoted(name), kind.letter())?;
        }
        Ok(())
    }
}

/// A name as it stands in the manifest: in quotes where it must be.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\'' && b != b'\\';
        if !self.0.is_empty() && self.0.bytes().all(plain) {
            return f.write_str(self.0);
        }
        f.write_str("\"")?;
        for b in self.0.bytes() {
            match b {
                b'"' | b'\\' => write!(f, "\\{}", b as char)?,
                b' '..=b'~' => write!(f, "{}", b as char)?,
                _ => write!(f, "\\x{b:02x}")?,
            }
        }
        f.write_str("\"")
    }
}

fn parse_line(line: &[u8], number: usize) -> Result<Part, ManifestError> {
    let wrong = ManifestError::Format(number);
    let words = split_words(line).ok_or(wrong.clone())?;
    if words.len() < 6 || !words.len().is_multiple_of(2) {
        return Err(wrong);
    }
    let (mut name, mut seq, mut kind) = (None, None, None);
    for pair in words.chunks_exact(2) {
        let (key, value) = (&pair[0], &pair[1]);
        match key.to_ascii_lowercase().as_slice() {
            b"file" => {
                let text = String::from_utf8(value.clone()).map_err(|_| wrong.clone())?;
                if text.contains(['/', '\\', '\0']) || text == "." || text == ".." {
                    return Err(ManifestError::Path(number));
                }
                name = Some(text);
            }
            b"seq" => {
                seq = std::str::from_utf8(value)
                    .ok()
                    .and_then(|digits| digits.parse().ok())
            }
            b"type" => {
                kind = Some(match value.as_slice() {
                    b"b" => PartKind::Base,
                    b"i" => PartKind::Increment,
                    b"h" => PartKind::History,
                    _ => return Err(ManifestError::Kind(number)),
                });
            }
            // A newer server's: Redis passes it over as well.
            _ => {}
        }
    }
    match (name, seq, kind) {
        (Some(name), Some(seq), Some(kind)) if seq > 0 && !name.is_empty() => Ok(Part { name, seq, kind }),
        _ => Err(wrong),
    }
}

/// Words of a line: separated by blanks, or in quotes as a configuration line has them. None: a quote is not closed.
fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii();
    while let Some((&first, after)) = rest.split_first() {
        let mut word = Vec::new();
        if first == b'"' {
            rest = after;
            loop {
                let (&b, after) = rest.split_first()?;
                rest = after;
                match b {
                    b'"' => break,
                    b'\\' => {
                        let (&escaped, after) = rest.split_first()?;
                        rest = after;
                        let hex = (escaped == b'x').then(|| rest.get(..2)).flatten();
                        let byte =
                            hex.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
                        match byte {
                            Some(byte) => {
                                word.push(byte);
                                rest = &rest[2..];
                            }
                            None => word.push(match escaped {
                                b'n' => b'\n',
                                b'r' => b'\r',
                                b't' => b'\t',
                                other => other,
                            }),
                        }
                    }
                    _ => word.push(b),
                }
            }
            if rest.first().is_some_and(|b| !b.is_ascii_whitespace()) {
                return None;
            }
        } else {
            let end = rest
                .iter()
                .position(u8::is_ascii_whitespace)
                .unwrap_or(rest.len());
            word.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_redis_writes() {
        let text = "file \"my file.aof.2.base.rdb\" seq 2 type b\nfile a.1.incr.aof seq 1 type h\nfile a.2.incr.aof seq 2 type i\nfile a.3.incr.aof seq 3 type i\n";
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.base.as_ref().unwrap().name, "my file.aof.2.base.rdb");
        let names: Vec<_> = manifest.parts().map(|part| &*part.name).collect();
        assert_eq!(names, ["my file.aof.2.base.rdb", "a.2.incr.aof", "a.3.incr.aof"]);
        assert_eq!(manifest.to_string(), text);
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            ("", ManifestError::Format(1)),
            ("\nfile x seq 1 type i\n", ManifestError::Format(1)),
            ("file x seq 1\n", ManifestError::Format(1)),
            ("file x seq 0 type i\n", ManifestError::Format(1)),
            ("file \"x seq 1 type i\n", ManifestError::Format(1)),
            ("file a/b seq 1 type i\n", ManifestError::Path(1)),
            ("#\nfile x seq 1 type q\n", ManifestError::Kind(2)),
            (
                "file x seq 1 type b\nfile y seq 1 type b\n",
                ManifestError::SecondBase(2),
            ),
            (
                "file x seq 2 type i\nfile y seq 1 type i\n",
                ManifestError::Order(2),
            ),
        ] {
            assert_eq!(Manifest::parse(text.as_bytes()), Err(error), "{text:?}");
        }
        let long = format!("file {} seq 1 type i\n", "x".repeat(LINE_MAX));
        assert_eq!(Manifest::parse(long.as_bytes()), Err(ManifestError::TooLong(1)));
        assert_eq!(Manifest::parse(b"# nothing\n"), Ok(Manifest::default()));
    }

    #[test]
    fn a_rewrite_turns_what_it_replaces_into_history() {
        let mut manifest = Manifest::default();
        manifest.add_increment("a");
        let first = manifest.next_base("a", "rdb");
        manifest.add_increment("a");
        manifest.rebase(first, 2);
        assert_eq!(
            manifest.to_string(),
            "file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type h\nfile a.2.incr.aof seq 2 type i\n"
        );
        let read = Manifest::parse(manifest.to_string().as_bytes()).unwrap();
        assert_eq!(read.clone().next_base("a", "aof").name, "a.2.base.aof");
        assert_eq!(read.clone().add_increment("a"), "a.3.incr.aof");
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in "[^/\\\\\0\n]{1,40}") {
            prop_assume!(name != "." && name != "..");
            let part = Part { name, seq: 7, kind: PartKind::Increment };
            let manifest = Manifest { increments: vec![part.clone()], increment_seq: 7, ..Manifest::default() };
            let read = Manifest::parse(manifest.to_string().as_bytes()).unwrap();
            prop_assert_eq!(&read.increments, &[part]);
        }

        #[test]
        fn any_text_is_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _answer = Manifest::parse(&text);
        }
    }
}
