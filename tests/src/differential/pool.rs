//! Where random commands take their words from: small pools of keys and values, so that commands meet often, and the
//! values that have broken servers before.
//!
//! Everything comes from one seeded generator and nothing depends on a reply, so a seed is a stream.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A command's words.
pub type Args = Vec<Vec<u8>>;

/// What a key is meant to hold. Most commands ask for their own kind and sometimes get another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Strings.
    Text,
    /// Lists.
    List,
    /// Hashes.
    Hash,
    /// Sets.
    Set,
    /// Sorted sets.
    Scored,
    /// Strings used as bitmaps.
    Bits,
    /// Streams.
    Log,
    /// Sorted sets in which every score is the same: ranges by member are defined for these only, so they stay apart.
    Lexical,
    /// Sorted sets of positions: other scores decode to positions that no document defines, so they stay apart.
    Geo,
    /// HyperLogLogs: their bytes are not for other commands to change.
    Sketch,
}

/// The kinds that mix freely.
const MIXING: [Kind; 7] = [
    Kind::Text,
    Kind::List,
    Kind::Hash,
    Kind::Set,
    Kind::Scored,
    Kind::Bits,
    Kind::Log,
];

/// Numbers, almost-numbers and oddities. None lies where a server would allocate hundreds of megabytes, or where a
/// time to live would end during a run.
const NASTY: &[&str] = &[
    "",
    "-1",
    "0",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551616",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "+inf",
    "1.5",
    "abc",
    " 2",
    "2 ",
    "+2",
    "-0",
    "0x10",
    "*",
    "(1",
    "[a",
    "1e2",
    "\u{0}",
    "99999999999999999999",
    "-1.5",
    "NX",
    "LIMIT",
    "COUNT",
    "é",
    "007",
];

const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "foo",
    "bar",
    "hello world",
    "Hello",
    "x\r\ny",
    "\u{0}\u{1}",
    "",
    "nan",
    "-inf",
];

/// The seeded source of all words.
pub struct Pool {
    rng: SmallRng,
    ticket: u64,
}

impl Pool {
    /// The pool of a seed.
    pub fn new(seed: u64) -> Pool {
        Pool {
            rng: SmallRng::seed_from_u64(seed),
            ticket: 0,
        }
    }

    /// A number from 0 to `bound - 1`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.random_range(0..bound.max(1))
    }

    /// True `times` out of `of`.
    pub fn chance(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        self.rng.random_range(low..=high)
    }

    /// One of `choices`.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.rng.random_range(0..choices.len());
        choices[index]
    }

    /// A different number each time, growing.
    pub fn ticket(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }

    /// The newest of these numbers.
    pub fn last_ticket(&self) -> u64 {
        self.ticket
    }

    /// A key, mostly of this kind.
    pub fn key(&mut self, kind: Kind) -> Vec<u8> {
        let kind = if MIXING.contains(&kind) {
            if self.chance(1, 14) {
                self.one_of(&MIXING)
            } else {
                kind
            }
        } else if self.chance(1, 20) {
            self.one_of(&[Kind::Text, Kind::List, Kind::Hash, Kind::Set])
        } else {
            kind
        };
        if self.chance(1, 60) {
            return self.odd_key();
        }
        self.key_of(kind)
    }

    /// A key that always is of this kind.
    pub fn key_of(&mut self, kind: Kind) -> Vec<u8> {
        let prefix = match kind {
            Kind::Text => "s",
            Kind::List => "l",
            Kind::Hash => "h",
            Kind::Set => "set",
            Kind::Scored => "z",
            Kind::Bits => "bits",
            Kind::Log => "x",
            Kind::Lexical => "lex",
            Kind::Geo => "geo",
            Kind::Sketch => "hll",
        };
        format!("{prefix}:{}", self.below(6)).into_bytes()
    }

    /// A key of any of the kinds that mix.
    pub fn any_key(&mut self) -> Vec<u8> {
        let kind = self.one_of(&MIXING);
        self.key(kind)
    }

    fn odd_key(&mut self) -> Vec<u8> {
        match self.below(5) {
            0 => Vec::new(),
            1 => vec![0, 255, b'\r', b'\n'],
            2 => vec![b'k'; 300],
            3 => b"{tag}x".to_vec(),
            _ => b"missing".to_vec(),
        }
    }

    /// A value for a string, an element, a field's value.
    pub fn value(&mut self) -> Vec<u8> {
        match self.below(20) {
            0..=5 => self.between(-20, 300).to_string().into_bytes(),
            6 => self
                .one_of(&[
                    "9223372036854775807",
                    "-9223372036854775808",
                    "10000",
                    "9999",
                    "32768",
                ])
                .into(),
            7 | 8 => format!("{}", self.between(-1000, 1000) as f64 / 8.0).into_bytes(),
            9..=13 => format!("v{}", self.below(40)).into_bytes(),
            14 | 15 => self.one_of(WORDS).into(),
            16 => self.long(44, 66),
            17 => self.long(100, 300),
            18 => self.nasty(),
            _ => (0..self.below(12)).map(|_| self.rng.random::<u8>()).collect(),
        }
    }

    fn long(&mut self, least: i64, most: i64) -> Vec<u8> {
        let length = self.between(least, most) as usize;
        let letter = self.one_of(b"xyz");
        vec![letter; length]
    }

    /// A member of a set or sorted set, a field of a hash, an element of a list: from a pool that gives collisions.
    pub fn member(&mut self) -> Vec<u8> {
        match self.below(16) {
            0..=6 => self.between(-5, 30).to_string().into_bytes(),
            7..=12 => format!("m{}", self.below(30)).into_bytes(),
            13 => self.between(-100_000, 100_000).to_string().into_bytes(),
            14 => self.long(63, 67),
            _ => self.value(),
        }
    }

    /// From one to a few members.
    pub fn members(&mut self) -> Args {
        let count = if self.chance(1, 3) { 1 + self.below(6) } else { 1 };
        (0..count).map(|_| self.member()).collect()
    }

    /// Enough members to push a collection over the threshold of its packed encoding: integers or words.
    pub fn many(&mut self) -> Args {
        let count = self.one_of(&[100, 129, 200, 513]);
        let start = self.between(-50, 400);
        let words = self.chance(1, 2);
        (start..start + count)
            .map(|number| {
                if words {
                    format!("w{number}").into_bytes()
                } else {
                    number.to_string().into_bytes()
                }
            })
            .collect()
    }

    /// An index or a range's end.
    pub fn index(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => self.nasty(),
            1 => self.between(-1000, 1000).to_string().into_bytes(),
            2 | 3 => b"-1".to_vec(),
            4 | 5 => b"0".to_vec(),
            _ => self.between(-12, 12).to_string().into_bytes(),
        }
    }

    /// A count, mostly small and positive.
    pub fn count(&mut self) -> Vec<u8> {
        match self.below(14) {
            0 => self.nasty(),
            1 => self.between(-6, -1).to_string().into_bytes(),
            2 => self.between(50, 600).to_string().into_bytes(),
            _ => self.between(0, 8).to_string().into_bytes(),
        }
    }

    /// An integer that a counter is changed by.
    pub fn step(&mut self) -> Vec<u8> {
        match self.below(10) {
            0 | 1 => self.nasty(),
            2 => self.between(i64::MIN / 2, i64::MAX / 2).to_string().into_bytes(),
            _ => self.between(-100, 100).to_string().into_bytes(),
        }
    }

    /// A floating-point number whose sums are exact in every format.
    pub fn float(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => self.nasty(),
            1 => self
                .one_of(&["1e3", "-1.5e2", "3.0", ".5", "5.", "0", "-0"])
                .into(),
            _ => format!("{}", self.between(-4000, 4000) as f64 / 16.0).into_bytes(),
        }
    }

    /// A score.
    pub fn score(&mut self) -> Vec<u8> {
        match self.below(24) {
            0 => self.nasty(),
            1 => self
                .one_of(&[
                    "inf", "-inf", "+inf", "1e308", "-1e308", "1e-300", "infinity", "Inf",
                ])
                .into(),
            2 => self
                .one_of(&[
                    "0.1",
                    "3.141592653589793",
                    "1e21",
                    "123456789012345678",
                    "1e17",
                    "-0",
                    "0.3",
                ])
                .into(),
            3..=8 => format!("{}", self.between(-80, 80) as f64 / 4.0).into_bytes(),
            _ => self.between(-10, 40).to_string().into_bytes(),
        }
    }

    /// A bound of a range by score.
    pub fn score_bound(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => b"-inf".to_vec(),
            1 => b"+inf".to_vec(),
            2 => [b"(".to_vec(), self.score()].concat(),
            _ => self.score(),
        }
    }

    /// A bound of a range by member.
    pub fn lex_bound(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => b"-".to_vec(),
            1 => b"+".to_vec(),
            2 | 3 => [b"(".to_vec(), self.member()].concat(),
            4 if self.chance(1, 3) => self.nasty(),
            _ => [b"[".to_vec(), self.member()].concat(),
        }
    }

    /// A value that breaks things.
    pub fn nasty(&mut self) -> Vec<u8> {
        self.one_of(NASTY).into()
    }

    /// The same for an id of a stream: `*` would be another id on each server.
    pub fn nasty_id(&mut self) -> Vec<u8> {
        match self.nasty() {
            nasty if nasty == b"*" => b"1-1-1".to_vec(),
            nasty => nasty,
        }
    }

    /// Seconds from now, far enough that none passes during a run and far from each other.
    pub fn far_seconds(&mut self) -> Vec<u8> {
        if self.chance(1, 8) {
            return self
                .one_of(&[
                    "0",
                    "-1",
                    "abc",
                    "9223372036854775807",
                    "-9223372036854775808",
                    "1.5",
                    "",
                ])
                .into();
        }
        (self.between(1, 5) * 100_000).to_string().into_bytes()
    }

    /// The same in milliseconds.
    pub fn far_milliseconds(&mut self) -> Vec<u8> {
        if self.chance(1, 8) {
            return self.far_seconds_bad();
        }
        (self.between(1, 5) * 100_000_000).to_string().into_bytes()
    }

    fn far_seconds_bad(&mut self) -> Vec<u8> {
        self.one_of(&[
            "0",
            "-1",
            "abc",
            "9223372036854775807",
            "-9223372036854775808",
            "1.5",
            "",
        ])
        .into()
    }

    /// A point in time, in seconds, in the next century.
    pub fn far_instant(&mut self) -> Vec<u8> {
        if self.chance(1, 8) {
            return self.far_seconds_bad();
        }
        (4_102_444_800 + self.between(0, 5) * 100_000)
            .to_string()
            .into_bytes()
    }

    /// The same in milliseconds.
    pub fn far_instant_milliseconds(&mut self) -> Vec<u8> {
        if self.chance(1, 8) {
            return self.far_seconds_bad();
        }
        (4_102_444_800_000 + self.between(0, 5) * 100_000_000)
            .to_string()
            .into_bytes()
    }
}

/// A command that is being put together.
#[derive(Debug, Clone)]
pub struct Command(pub Args);

/// Starts a command with its name.
pub fn cmd(name: &str) -> Command {
    Command(vec![name.as_bytes().to_vec()])
}

impl Command {
    /// Adds a word.
    #[must_use]
    pub fn arg(mut self, word: impl Into<Vec<u8>>) -> Command {
        self.0.push(word.into());
        self
    }

    /// Adds words.
    #[must_use]
    pub fn args(mut self, words: impl IntoIterator<Item = Vec<u8>>) -> Command {
        self.0.extend(words);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, number: impl ToString) -> Command {
        self.arg(number.to_string())
    }

    /// Adds what `add` adds, where `condition` holds.
    #[must_use]
    pub fn when(self, condition: bool, add: impl FnOnce(Command) -> Command) -> Command {
        if condition { add(self) } else { self }
    }
}
