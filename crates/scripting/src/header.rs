//! The first line of a script (`#!lua flags=no-writes`) or of a library (`#!lua name=lib`).
//!
//! Source: the Redis pages "Eval scripts flags" and "Redis functions"; texts as 7.0.15 answers.

use std::fmt;

/// What a script or function says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFlags(u8);

impl ScriptFlags {
    /// It does not write: it runs where writing is not allowed.
    pub const NO_WRITES: Self = Self(1);
    /// It runs although memory is short.
    pub const ALLOW_OOM: Self = Self(2);
    /// It runs on a replica with stale data.
    pub const ALLOW_STALE: Self = Self(4);
    /// It does not run in cluster mode.
    pub const NO_CLUSTER: Self = Self(8);
    /// It may use keys of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Self = Self(16);
    /// A script without a header line: judged by what it does, command by command.
    pub const COMPAT: Self = Self(32);

    /// Flags and their names, in Redis's order.
    const NAMES: [(Self, &'static str); 5] = [
        (Self::NO_WRITES, "no-writes"),
        (Self::ALLOW_OOM, "allow-oom"),
        (Self::ALLOW_STALE, "allow-stale"),
        (Self::NO_CLUSTER, "no-cluster"),
        (Self::ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
    ];

    /// True if all of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        Self::NAMES
            .into_iter()
            .filter(move |(flag, _)| self.has(*flag))
            .map(|(_, name)| name)
    }

    /// Sets the flag of this name. False: there is none.
    pub fn set(&mut self, name: &[u8]) -> bool {
        let known = Self::NAMES.iter().find(|(_, n)| n.as_bytes() == name);
        known.map(|(flag, _)| self.0 |= flag.0).is_some()
    }
}

/// A script without its header line. Line numbers stay: the line's end is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptHeader<'s> {
    /// What is said in the header.
    pub flags: ScriptFlags,
    /// Lua code.
    pub body: &'s [u8],
}

/// A library without its header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LibraryHeader<'s> {
    /// Name of the library.
    pub name: &'s [u8],
    /// Lua code.
    pub body: &'s [u8],
}

/// The header line is wrong; the text is Redis's, without code word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError(pub Vec<u8>);

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

fn error(text: &str, quoted: &[u8]) -> HeaderError {
    HeaderError([text.as_bytes(), quoted].concat())
}

/// Takes the header line off a script for EVAL, if it has one.
///
/// # Errors
/// It names another engine, or an option or flag that there is not.
pub fn script_header(source: &[u8]) -> Result<ScriptHeader<'_>, HeaderError> {
    if !source.starts_with(b"#!") {
        return Ok(ScriptHeader {
            flags: ScriptFlags::COMPAT,
            body: source,
        });
    }
    let (line, body) = split_line(source).ok_or_else(|| error("Invalid script shebang", b""))?;
    let mut words = words(line);
    let engine = words.next().unwrap_or_default();
    if engine != b"#!lua" {
        return Err(error("Unexpected engine in script shebang: ", engine));
    }
    let mut flags = ScriptFlags::default();
    for word in words {
        let list = word
            .strip_prefix(b"flags=")
            .ok_or_else(|| error("Unknown lua shebang option: ", word))?;
        for flag in list.split(|&b| b == b',').filter(|f| !f.is_empty()) {
            if !flags.set(flag) {
                return Err(error("Unexpected flag in script shebang: ", flag));
            }
        }
    }
    Ok(ScriptHeader { flags, body })
}

/// Takes the header line off a library.
///
/// # Errors
/// It has none, or names another engine, no name, or something else.
pub fn library_header(source: &[u8]) -> Result<LibraryHeader<'_>, HeaderError> {
    if !source.starts_with(b"#!") {
        return Err(error("Missing library metadata", b""));
    }
    let (line, body) = split_line(source).ok_or_else(|| error("Invalid library metadata", b""))?;
    let mut words = words(line);
    let engine = &words.next().unwrap_or_default()[2..];
    let mut name = None;
    for word in words {
        let (key, value) = word.split_at(word.iter().position(|&b| b == b'=').map_or(0, |at| at + 1));
        if !key.eq_ignore_ascii_case(b"name=") {
            return Err(error("Invalid metadata value given: ", word));
        }
        if name.replace(value).is_some() {
            return Err(error(
                "Invalid metadata value, name argument was given multiple times",
                b"",
            ));
        }
    }
    let name = name.ok_or_else(|| error("Library name was not given", b""))?;
    let name = name
        .strip_prefix(b"\"")
        .and_then(|n| n.strip_suffix(b"\""))
        .unwrap_or(name);
    if !is_name(name) {
        return Err(error(BAD_NAME, b""));
    }
    if !engine.eq_ignore_ascii_case(b"lua") {
        let text = [b"Engine '", engine, b"' not found"].concat();
        return Err(HeaderError(text));
    }
    Ok(LibraryHeader { name, body })
}

/// Redis's text for a name that is none.
pub(crate) const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// True for names of libraries and functions.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The first line, and the rest with the line's end in front.
fn split_line(source: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = source.iter().position(|&b| b == b'\n')?;
    Some(source.split_at(end))
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty())
}
