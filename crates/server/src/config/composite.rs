//! Values made of several parts: save points, output limits, event classes, scores, percentiles, a primary's address.
//!
//! Each is kept as its canonical text (as CONFIG GET prints it); the parsers here read both that text and the words
//! of a file.

use super::value::{Value, ValueError, memory, print_memory, strict_integer};
use super::words;

/// Write a snapshot when `changes` keys changed and `seconds` passed since the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last snapshot.
    pub seconds: u64,
    /// Changes since the last snapshot.
    pub changes: u64,
}

/// When a client that does not read its replies is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Bytes at which it is disconnected at once; 0 is no limit.
    pub hard_bytes: u64,
    /// Bytes that it may hold for `soft_seconds` only; 0 is no limit.
    pub soft_bytes: u64,
    /// Seconds above `soft_bytes`.
    pub soft_seconds: u64,
}

/// Classes of clients that have an output limit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientClass {
    /// Everybody else.
    Normal,
    /// Replicas of this server.
    Replica,
    /// Clients with a subscription.
    Pubsub,
}

impl ClientClass {
    /// Every class, in the order of CONFIG GET.
    pub const ALL: [ClientClass; 3] = [ClientClass::Normal, ClientClass::Replica, ClientClass::Pubsub];

    fn find(word: &[u8]) -> Option<Self> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Some(ClientClass::Normal),
            b"slave" | b"replica" => Some(ClientClass::Replica),
            b"pubsub" => Some(ClientClass::Pubsub),
            _ => None,
        }
    }
}

/// The words of a canonical text.
fn canonical_words(text: &[u8]) -> Vec<&[u8]> {
    text.split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
        .collect()
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Save points from pairs of words; no words, or one empty word, are none.
pub fn parse_save(args: &[&[u8]]) -> Result<Vec<SavePoint>, ValueError> {
    if matches!(args, [] | [b""]) {
        return Ok(Vec::new());
    }
    let point = |pair: &[&[u8]]| match pair {
        [seconds, changes] => {
            let seconds = number(seconds).filter(|&seconds| seconds >= 1)?;
            let changes = number(changes).filter(|&changes| changes <= i32::MAX as u64)?;
            Some(SavePoint { seconds, changes })
        }
        _ => None,
    };
    args.chunks(2)
        .map(|pair| point(pair).ok_or(ValueError::BadSave))
        .collect()
}

/// Save points of a canonical text.
pub fn save_points(text: &[u8]) -> Vec<SavePoint> {
    parse_save(&canonical_words(text)).unwrap_or_default()
}

/// The canonical text of save points.
pub fn save_text(points: &[SavePoint]) -> String {
    let pairs: Vec<_> = points
        .iter()
        .map(|point| format!("{} {}", point.seconds, point.changes))
        .collect();
    pairs.join(" ")
}

/// One line of a file for each save point; none at all are written as an empty value.
pub fn save_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let points = save_points(text);
    if points.is_empty() {
        return vec![b"\"\"".to_vec()];
    }
    points
        .iter()
        .map(|point| save_text(&[*point]).into_bytes())
        .collect()
}

/// Output limits of a canonical text, in the order of [`ClientClass::ALL`].
pub fn output_limits(text: &[u8]) -> [OutputLimit; 3] {
    let mut limits = [OutputLimit::default(); 3];
    // A canonical text always parses; were it not so, there would be no limits.
    let _ = apply_limits(&mut limits, &canonical_words(text));
    limits
}

/// The canonical text of `current` changed by the quadruples in `args`.
pub fn merge_limits(current: &Value, args: &[&[u8]]) -> Result<Vec<u8>, ValueError> {
    let mut limits = match current {
        Value::Text(text) => output_limits(text),
        Value::Int(_) => Default::default(),
    };
    if !matches!(args, [b""]) {
        apply_limits(&mut limits, args)?;
    }
    let text = |(class, limit): (&str, &OutputLimit)| {
        format!(
            "{class} {} {} {}",
            limit.hard_bytes, limit.soft_bytes, limit.soft_seconds
        )
    };
    let parts: Vec<_> = ["normal", "slave", "pubsub"]
        .into_iter()
        .zip(&limits)
        .map(text)
        .collect();
    Ok(parts.join(" ").into_bytes())
}

fn apply_limits(limits: &mut [OutputLimit; 3], args: &[&[u8]]) -> Result<(), ValueError> {
    if args.is_empty() || !args.len().is_multiple_of(4) {
        return Err(ValueError::LimitWordCount);
    }
    for quadruple in args.chunks_exact(4) {
        let class = ClientClass::find(quadruple[0]).ok_or(ValueError::LimitClass)?;
        let bytes = |word| memory(word).ok_or(ValueError::LimitValue);
        let seconds = number(quadruple[3]).filter(|&seconds| seconds <= i64::MAX as u64);
        limits[class as usize] = OutputLimit {
            hard_bytes: bytes(quadruple[1])?,
            soft_bytes: bytes(quadruple[2])?,
            soft_seconds: seconds.ok_or(ValueError::LimitValue)?,
        };
    }
    Ok(())
}

/// One line of a file for each class.
pub fn limit_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let line = |(class, limit): (&str, OutputLimit)| {
        let bytes = |n: u64| print_memory(i64::try_from(n).unwrap_or(i64::MAX));
        format!(
            "{class} {} {} {}",
            bytes(limit.hard_bytes),
            bytes(limit.soft_bytes),
            limit.soft_seconds
        )
    };
    let classes = ["normal", "replica", "pubsub"];
    classes
        .into_iter()
        .zip(output_limits(text))
        .map(|pair| line(pair).into_bytes())
        .collect()
}

/// Bits of `notify-keyspace-events`.
pub mod events {
    /// Publish on `__keyspace@db__:key` (K).
    pub const KEYSPACE: i64 = 1 << 0;
    /// Publish on `__keyevent@db__:event` (E).
    pub const KEYEVENT: i64 = 1 << 1;
    /// Commands of no type (g).
    pub const GENERIC: i64 = 1 << 2;
    /// Strings ($).
    pub const STRING: i64 = 1 << 3;
    /// Lists (l).
    pub const LIST: i64 = 1 << 4;
    /// Sets (s).
    pub const SET: i64 = 1 << 5;
    /// Hashes (h).
    pub const HASH: i64 = 1 << 6;
    /// Sorted sets (z).
    pub const ZSET: i64 = 1 << 7;
    /// Expired keys (x).
    pub const EXPIRED: i64 = 1 << 8;
    /// Evicted keys (e).
    pub const EVICTED: i64 = 1 << 9;
    /// Streams (t).
    pub const STREAM: i64 = 1 << 10;
    /// Missed keys (m); not among "all".
    pub const KEY_MISS: i64 = 1 << 11;
    /// Module types (d).
    pub const MODULE: i64 = 1 << 13;
    /// New keys (n); not among "all".
    pub const NEW: i64 = 1 << 14;
    /// Keys that are given another value as a whole (o); not among "all".
    pub const OVERWRITTEN: i64 = 1 << 15;
    /// Keys whose value is replaced by one of another type (c); not among "all".
    pub const TYPE_CHANGED: i64 = 1 << 16;
    /// What A stands for.
    pub const ALL: i64 = GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE;
}

/// The class letters in the order in which CONFIG GET prints them.
const CLASSES: [(u8, i64); 10] = [
    (b'g', events::GENERIC),
    (b'$', events::STRING),
    (b'l', events::LIST),
    (b's', events::SET),
    (b'h', events::HASH),
    (b'z', events::ZSET),
    (b'x', events::EXPIRED),
    (b'e', events::EVICTED),
    (b't', events::STREAM),
    (b'd', events::MODULE),
];
const CHANNELS: [(u8, i64); 2] = [(b'K', events::KEYSPACE), (b'E', events::KEYEVENT)];

/// Bits of the letters in `word`.
pub fn parse_events(word: &[u8]) -> Result<i64, ValueError> {
    let bit = |letter: &u8| match letter {
        b'A' => Ok(events::ALL),
        b'm' => Ok(events::KEY_MISS),
        b'n' => Ok(events::NEW),
        b'o' => Ok(events::OVERWRITTEN),
        b'c' => Ok(events::TYPE_CHANGED),
        letter => {
            let found = CLASSES.iter().chain(&CHANNELS).find(|(known, _)| known == letter);
            found.map(|&(_, bit)| bit).ok_or(ValueError::BadEventClass)
        }
    };
    word.iter().try_fold(0, |bits, letter| Ok(bits | bit(letter)?))
}

/// Letters of `bits`, shortened to A where every class is set. 7.0.15 forgets `n` beside A, and a rewritten file
/// would lose it; we print it.
pub fn print_events(bits: i64) -> String {
    let mut text = String::new();
    let all = bits & events::ALL == events::ALL;
    if all {
        text.push('A');
    } else {
        text.extend(
            CLASSES
                .iter()
                .filter(|(_, bit)| bits & bit != 0)
                .map(|&(letter, _)| char::from(letter)),
        );
        if bits & events::NEW != 0 {
            text.push('n');
        }
    }
    text.extend(
        CHANNELS
            .iter()
            .filter(|(_, bit)| bits & bit != 0)
            .map(|&(letter, _)| char::from(letter)),
    );
    if bits & events::KEY_MISS != 0 {
        text.push('m');
    }
    if all && bits & events::NEW != 0 {
        text.push('n');
    }
    for (letter, bit) in [('o', events::OVERWRITTEN), ('c', events::TYPE_CHANGED)] {
        if bits & bit != 0 {
            text.push(letter);
        }
    }
    text
}

/// The canonical text of three scores between -2000 and 2000.
pub fn oom_text(args: &[&[u8]]) -> Result<Vec<u8>, ValueError> {
    if args.len() != 3 {
        return Err(ValueError::WordCount);
    }
    let legal = |word: &&&[u8]| strict_integer(word).is_some_and(|score| (-2000..=2000).contains(&score));
    if args.iter().filter(legal).count() != 3 {
        return Err(ValueError::BadOomScore);
    }
    Ok(args.join(&b' '))
}

/// Scores of a canonical text: primary, replica, background child.
pub fn oom_scores(text: &[u8]) -> [i64; 3] {
    let mut scores = [0; 3];
    for (score, word) in scores.iter_mut().zip(canonical_words(text)) {
        *score = strict_integer(word).unwrap_or(0);
    }
    scores
}

/// The canonical text of percentiles between 0 and 100; an empty word is none.
pub fn percentiles_text(args: &[&[u8]]) -> Result<Vec<u8>, ValueError> {
    if matches!(args, [b""]) {
        return Ok(Vec::new());
    }
    let parse = |word: &&[u8]| {
        std::str::from_utf8(word)
            .ok()?
            .parse::<f64>()
            .ok()
            .filter(|p| !p.is_nan())
    };
    let mut texts = Vec::with_capacity(args.len());
    for word in args {
        let percentile = parse(word).ok_or(ValueError::BadPercentile)?;
        if !(0.0..=100.0).contains(&percentile) {
            return Err(ValueError::PercentileRange);
        }
        texts.push(print_percentile(percentile));
    }
    if texts.is_empty() {
        Err(ValueError::WordCount)
    } else {
        Ok(texts.join(" ").into_bytes())
    }
}

/// At most six decimals, no trailing zeros.
fn print_percentile(percentile: f64) -> String {
    let text = format!("{percentile:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Percentiles of a canonical text.
pub fn percentiles(text: &[u8]) -> Vec<f64> {
    let parse = |word: &[u8]| std::str::from_utf8(word).ok()?.parse().ok();
    canonical_words(text).into_iter().filter_map(parse).collect()
}

/// `host port`, or nothing for `no one`.
pub fn replicaof_text(args: &[&[u8]]) -> Result<Vec<u8>, ValueError> {
    match args {
        // What CONFIG GET prints for none; only our own rewrite and defaults say it.
        [b""] => Ok(Vec::new()),
        [host, port] if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") => {
            Ok(Vec::new())
        }
        [host, port] => {
            let legal = strict_integer(port).is_some_and(|port| (0..=65535).contains(&port));
            if legal && !host.contains(&0) {
                Ok([*host, *port].join(&b' '))
            } else {
                Err(ValueError::BadPrimaryPort)
            }
        }
        _ => Err(ValueError::WordCount),
    }
}

/// Host and port of a canonical text.
pub fn replicaof(text: &[u8]) -> Option<(String, u16)> {
    let space = text.iter().rposition(|&byte| byte == b' ')?;
    let port = number(&text[space + 1..]).and_then(|port| u16::try_from(port).ok())?;
    Some((String::from_utf8_lossy(&text[..space]).into_owned(), port))
}

/// The words of a line of a file; the host may be any text, even one with spaces.
pub fn replicaof_line(text: &[u8]) -> Vec<u8> {
    match text.iter().rposition(|&byte| byte == b' ') {
        Some(space) => [&words::quote_if_needed(&text[..space]), &text[space..]].concat(),
        None => b"no one".to_vec(),
    }
}

/// Addresses of a canonical `bind` text. The mark `-` says that the address may be missing on this machine.
pub fn bind_addresses(text: &[u8]) -> Vec<(String, bool)> {
    let address = |word: &[u8]| match word {
        [b'-', rest @ ..] => (String::from_utf8_lossy(rest).into_owned(), true),
        word => (String::from_utf8_lossy(word).into_owned(), false),
    };
    canonical_words(text).into_iter().map(address).collect()
}
