//! From the words of a directive to its stored value, and back to text.
//!
//! A value is stored as one integer or as canonical text, so that the server reads the hot ones without a lock.
//! Composite values (save points, output limits, ...) are kept as their canonical text and parsed by `composite.rs`.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use super::composite;
use super::row::{Choice, Kind, Row, Rule};
use super::words;

/// A value as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Numbers, booleans, choices, flags.
    Int(i64),
    /// Everything else, as CONFIG GET prints it.
    Text(Arc<[u8]>),
}

impl Value {
    /// A text value.
    pub fn text(bytes: impl Into<Vec<u8>>) -> Self {
        Value::Text(Arc::from(bytes.into()))
    }
}

/// Why words are no value of a directive. The texts are those of redis-server 7.0.15.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the text says it
pub enum ValueError {
    #[error("wrong number of arguments")]
    WordCount,
    #[error("argument must be 'yes' or 'no'")]
    NotYesNo,
    #[error("argument couldn't be parsed into an integer")]
    NotInteger,
    #[error("argument couldn't be parsed as an octal number")]
    NotOctal,
    #[error("argument must be a memory value")]
    NotMemory,
    #[error("argument must be a memory or percent value")]
    NotMemoryOrPercent,
    #[error("percentage argument must be less or equal to 100")]
    PercentTooLarge,
    #[error("argument must be between {min} and {max} inclusive")]
    OutOfRange { min: String, max: String },
    #[error("argument(s) must be one of the following: {}", list(.0))]
    NotOneOf(&'static [Choice]),
    #[error("shutdown options SAVE and NOSAVE can't be used simultaneously")]
    SaveAndNosave,
    #[error("Too many bind addresses specified.")]
    TooManyWords,
    #[error("Invalid save parameters")]
    BadSave,
    #[error("Wrong number of arguments in buffer limit configuration.")]
    LimitWordCount,
    #[error("Invalid client class specified in buffer limit configuration.")]
    LimitClass,
    #[error("Error in hard, soft or soft_seconds setting in buffer limit configuration.")]
    LimitValue,
    #[error("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")]
    BadEventClass,
    #[error("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")]
    BadOomScore,
    #[error("Invalid latency-tracking-info-percentiles parameters")]
    BadPercentile,
    #[error("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")]
    PercentileRange,
    #[error("Invalid master port")]
    BadPrimaryPort,
    #[error("{0}")]
    Directory(String),
    #[error("argument must not contain a NUL byte")]
    Nul,
    #[error("{0}")]
    Rule(&'static str),
}

fn list(choices: &[Choice]) -> String {
    choices
        .iter()
        .map(|choice| choice.name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Parses the words after a directive's name.
///
/// `current` is the value now in effect, which `client-output-buffer-limit` changes in part and to which a relative
/// `dir` is relative.
pub fn parse(row: &Row, args: &[&[u8]], current: &Value) -> Result<Value, ValueError> {
    let value = parse_kind(&row.kind, args, current)?;
    if let Some(rule) = row.check {
        run_rule(rule, &value)?;
    }
    Ok(value)
}

/// Applies the extra rule that a row has for CONFIG SET.
pub fn check_set(row: &Row, value: &Value) -> Result<(), ValueError> {
    row.check_set.map_or(Ok(()), |rule| run_rule(rule, value))
}

fn run_rule(rule: Rule, value: &Value) -> Result<(), ValueError> {
    let text: Cow<'_, [u8]> = match value {
        Value::Int(int) => int.to_string().into_bytes().into(),
        Value::Text(text) => Cow::Borrowed(text),
    };
    rule(&text).map_err(ValueError::Rule)
}

fn parse_kind(kind: &Kind, args: &[&[u8]], current: &Value) -> Result<Value, ValueError> {
    if !kind.takes_words() && args.len() != 1 {
        return Err(ValueError::WordCount);
    }
    let word = args.first().copied().unwrap_or_default();
    Ok(match *kind {
        Kind::Bool => Value::Int(i64::from(yes_no(word)?)),
        Kind::Int { min, max } => Value::Int(integer(word, min, max)?),
        Kind::Memory { min, max } => {
            let bytes = memory(word).ok_or(ValueError::NotMemory)?;
            if bytes < min || bytes > max {
                return Err(out_of_range(min, max));
            }
            Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX))
        }
        Kind::MemoryOrPercent => Value::Int(memory_or_percent(word)?),
        Kind::Octal { max } => Value::Int(octal(word, max)?),
        Kind::Choice(choices) => Value::Int(choose(choices, word)?),
        Kind::Flags(choices) => Value::Int(flags(choices, args)?),
        Kind::Text => {
            no_nul(word)?;
            Value::text(word)
        }
        Kind::Secret => Value::text(word),
        Kind::Directory => Value::text(directory(word, current)?),
        Kind::Words { max } => Value::text(words_of(args, max)?),
        Kind::ReplicaOf => Value::text(composite::replicaof_text(args)?),
        Kind::Save => Value::text(composite::save_text(&composite::parse_save(args)?)),
        Kind::OutputLimits => Value::text(composite::merge_limits(current, args)?),
        Kind::Notify => Value::Int(composite::parse_events(word)?),
        Kind::OomScores => Value::text(composite::oom_text(args)?),
        Kind::Percentiles => Value::text(composite::percentiles_text(args)?),
        Kind::Lines { .. } => Value::text(Vec::new()),
    })
}

/// The value as CONFIG GET prints it.
pub fn print(row: &Row, value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.to_vec(),
        Value::Int(int) => print_int(&row.kind, *int).into_bytes(),
    }
}

fn print_int(kind: &Kind, int: i64) -> String {
    match kind {
        Kind::Bool => if int != 0 { "yes" } else { "no" }.to_owned(),
        Kind::Octal { .. } => format!("{int:o}"),
        Kind::MemoryOrPercent if int < 0 => format!("{}%", int.unsigned_abs()),
        Kind::Choice(choices) => name_of(choices, int).to_owned(),
        Kind::Flags(choices) => print_flags(choices, int),
        Kind::Notify => composite::print_events(int),
        Kind::Int { .. }
        | Kind::Memory { .. }
        | Kind::MemoryOrPercent
        | Kind::Text
        | Kind::Secret
        | Kind::Directory
        | Kind::Words { .. }
        | Kind::ReplicaOf
        | Kind::Save
        | Kind::OutputLimits
        | Kind::OomScores
        | Kind::Percentiles
        | Kind::Lines { .. } => int.to_string(),
    }
}

/// The words of the value as they stand in a file, quoted where a reader of the file needs it; for the composite
/// rows that take several lines, one element for each line.
pub fn file_lines(row: &Row, value: &Value) -> Vec<Vec<u8>> {
    match (&row.kind, value) {
        (Kind::Memory { .. } | Kind::MemoryOrPercent, Value::Int(bytes)) if *bytes > 0 => {
            vec![print_memory(*bytes).into_bytes()]
        }
        (Kind::Save, Value::Text(text)) => composite::save_lines(text),
        (Kind::OutputLimits, Value::Text(text)) => composite::limit_lines(text),
        (Kind::Words { .. } | Kind::OomScores | Kind::Percentiles, Value::Text(text)) => {
            let words: Vec<_> = text
                .split(|&byte| byte == b' ')
                .map(words::quote_if_needed)
                .collect();
            vec![words.join(&b' ')]
        }
        (Kind::ReplicaOf, Value::Text(text)) => vec![composite::replicaof_line(text)],
        (Kind::Notify, value) => vec![words::quote(&print(row, value))],
        (_, Value::Text(text)) => vec![words::quote_if_needed(text)],
        (_, value) => vec![print(row, value)],
    }
}

fn yes_no(word: &[u8]) -> Result<bool, ValueError> {
    if word.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err(ValueError::NotYesNo)
    }
}

/// A decimal integer that prints as it was written: no plus, no leading zero, no space.
pub fn strict_integer(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

fn integer(word: &[u8], min: i64, max: i64) -> Result<i64, ValueError> {
    let value = strict_integer(word).ok_or(ValueError::NotInteger)?;
    if value < min || value > max {
        Err(out_of_range(min, max))
    } else {
        Ok(value)
    }
}

fn out_of_range(min: impl ToString, max: impl ToString) -> ValueError {
    ValueError::OutOfRange {
        min: min.to_string(),
        max: max.to_string(),
    }
}

/// Bytes with an optional unit. No digits at all are 0, as in Redis.
pub fn memory(word: &[u8]) -> Option<u64> {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = word.split_at(digits);
    let unit: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1_000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let mut bytes: u64 = 0;
    for digit in number {
        bytes = bytes.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    bytes.checked_mul(unit)
}

fn memory_or_percent(word: &[u8]) -> Result<i64, ValueError> {
    if let [digits @ .., b'%'] = word {
        let percent = strict_integer(digits)
            .filter(|&n| n >= 0)
            .ok_or(ValueError::NotMemoryOrPercent)?;
        return if percent > 100 {
            Err(ValueError::PercentTooLarge)
        } else {
            Ok(-percent)
        };
    }
    let bytes = memory(word).ok_or(ValueError::NotMemoryOrPercent)?;
    Ok(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// The shortest writing with a binary unit: `100mb`, `1500000000`.
pub fn print_memory(bytes: i64) -> String {
    for (unit, shift) in [("gb", 30), ("mb", 20), ("kb", 10)] {
        if bytes != 0 && bytes % (1 << shift) == 0 {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

fn octal(word: &[u8], max: i64) -> Result<i64, ValueError> {
    let text = std::str::from_utf8(word).map_err(|_| ValueError::NotOctal)?;
    let value = i64::from_str_radix(text, 8).map_err(|_| ValueError::NotOctal)?;
    if (0..=max).contains(&value) {
        Ok(value)
    } else {
        Err(ValueError::OutOfRange {
            min: "0".into(),
            max: format!("{max:o}"),
        })
    }
}

fn choose(choices: &'static [Choice], word: &[u8]) -> Result<i64, ValueError> {
    choices
        .iter()
        .find(|choice| word.eq_ignore_ascii_case(choice.name.as_bytes()))
        .map(|choice| choice.code)
        .ok_or(ValueError::NotOneOf(choices))
}

fn flags(choices: &'static [Choice], args: &[&[u8]]) -> Result<i64, ValueError> {
    if args.is_empty() {
        return Err(ValueError::WordCount);
    }
    let mut flags = 0;
    for word in args {
        flags |= choose(choices, word)?;
    }
    let both = super::choices::SHUTDOWN_SAVE | super::choices::SHUTDOWN_NOSAVE;
    if flags & both == both {
        Err(ValueError::SaveAndNosave)
    } else {
        Ok(flags)
    }
}

fn name_of(choices: &[Choice], code: i64) -> &'static str {
    choices
        .iter()
        .find(|choice| choice.code == code)
        .map_or("unknown", |choice| choice.name)
}

fn print_flags(choices: &[Choice], flags: i64) -> String {
    let set = |choice: &&Choice| choice.code != 0 && flags & choice.code == choice.code;
    let names: Vec<_> = choices.iter().filter(set).map(|choice| choice.name).collect();
    if names.is_empty() {
        name_of(choices, 0).to_owned()
    } else {
        names.join(" ")
    }
}

fn words_of(args: &[&[u8]], max: usize) -> Result<Vec<u8>, ValueError> {
    match args {
        [] => Err(ValueError::WordCount),
        [b""] => Ok(Vec::new()),
        args if args.len() > max => Err(ValueError::TooManyWords),
        args => {
            args.iter().try_for_each(|word| no_nul(word))?;
            Ok(args.join(&b' '))
        }
    }
}

/// A text that goes to the operating system cannot hold a NUL.
fn no_nul(word: &[u8]) -> Result<(), ValueError> {
    if word.contains(&0) {
        Err(ValueError::Nul)
    } else {
        Ok(())
    }
}

/// The absolute path of an existing directory; a relative one starts at the directory now in effect.
fn directory(word: &[u8], current: &Value) -> Result<Vec<u8>, ValueError> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    no_nul(word)?;
    let wrong = |error: nix::errno::Errno| ValueError::Directory(error.desc().to_owned());
    if word.is_empty() {
        return Err(wrong(nix::errno::Errno::ENOENT));
    }
    let base = match current {
        Value::Text(base) => base.clone(),
        Value::Int(_) => Arc::from(&b""[..]),
    };
    let path = Path::new(std::ffi::OsStr::from_bytes(&base)).join(std::ffi::OsStr::from_bytes(word));
    let errno = |error: std::io::Error| wrong(nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)));
    let path = std::fs::canonicalize(&path).map_err(errno)?;
    if !path.is_dir() {
        return Err(wrong(nix::errno::Errno::ENOTDIR));
    }
    Ok(path.into_os_string().into_vec())
}
