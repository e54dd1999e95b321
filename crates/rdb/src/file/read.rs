//! Reading a whole RDB, item by item, with bounded memory: no more is held than one value.

use std::io::Read;

use holdfast_storage::value::Value;

use super::op;
use crate::error::RdbError;
use crate::input::{Input, StreamInput};
use crate::payload::{REDIS_VERSIONS, VALKEY_VERSION};
use crate::read;
use crate::types::Type;
use crate::value::{Limits, module_name, read_value};

/// Why a file could not be read, and where.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It does not begin like one.
    #[error("wrong signature: this is no RDB file")]
    Magic,
    /// It is of a version that is not known.
    #[error("can't handle RDB format version {0}")]
    Version(String),
    /// Something in it is wrong.
    #[error("{error}, at byte {offset}")]
    Damaged {
        /// Bytes read before.
        offset: u64,
        /// What.
        error: RdbError,
    },
    /// The bytes are not those that were written.
    #[error("RDB CRC error: expected {expected:016x}, got {got:016x}")]
    Checksum {
        /// What the file says.
        expected: u64,
        /// What its bytes give.
        got: u64,
    },
    /// Something that needs what this server does not have.
    #[error("{what}, at byte {offset}")]
    Foreign {
        /// Bytes read before.
        offset: u64,
        /// What.
        what: String,
    },
}

/// A key with its value.
#[derive(Debug)]
pub struct Record {
    /// Database.
    pub db: u32,
    /// Key.
    pub key: Vec<u8>,
    /// Unix time in milliseconds.
    pub expire_at_ms: Option<i64>,
    /// Seconds since it was used.
    pub idle_s: Option<u64>,
    /// Access counter.
    pub freq: Option<u8>,
    /// Value; None: a collection without elements, to be skipped.
    pub value: Option<Value>,
}

/// What a file is made of.
#[derive(Debug)]
pub enum Item {
    /// A note: name and value.
    Aux(Vec<u8>, Vec<u8>),
    /// How many keys follow in this database, and how many of them expire: a hint.
    Resize {
        /// Database.
        db: u32,
        /// Keys.
        keys: u64,
        /// Keys that expire.
        expiring: u64,
    },
    /// A library of functions.
    Function(Vec<u8>),
    /// A key.
    Record(Record),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct FileReader<R> {
    pub(super) input: StreamInput<R>,
    version: u16,
    db: u32,
    pub(super) limits: Limits,
    check: bool,
    pub(super) over: bool,
    /// The file has a checksum, and it has been found to be right.
    verified: bool,
}

impl<R: Read> FileReader<R> {
    /// Reads what is in front of the first item. `check`: the checksum at the end must be right.
    ///
    /// # Errors
    /// It is no RDB, or of a version that is not known.
    pub fn new(stream: R, limits: &Limits, check: bool) -> Result<Self, FileError> {
        let mut input = StreamInput::new(stream, check);
        let magic: [u8; 9] = read::bytes(&mut input).map_err(|error| match error {
            RdbError::Truncated => FileError::Magic,
            error => FileError::Damaged { offset: 0, error },
        })?;
        let digits = match magic.strip_prefix(b"REDIS") {
            Some(digits) => digits,
            None => magic.strip_prefix(b"VALKEY").ok_or(FileError::Magic)?,
        };
        let text = String::from_utf8_lossy(digits).into_owned();
        let valkey = digits.len() == 3;
        let version = text
            .parse::<u16>()
            .ok()
            .filter(|v| match valkey {
                false => *v > 0 && REDIS_VERSIONS.contains(v),
                true => *v == VALKEY_VERSION,
            })
            .ok_or(FileError::Version(text))?;
        Ok(Self {
            input,
            version,
            db: 0,
            limits: *limits,
            check,
            over: false,
            verified: false,
        })
    }

    /// Version of the format.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Whether there was a checksum at the end, and it was right.
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// The next item; None at the end, when the checksum was right.
    ///
    /// # Errors
    /// What is wrong, and where. Nothing may be read after it.
    pub fn next_item(&mut self) -> Result<Option<Item>, FileError> {
        if self.over {
            return Ok(None);
        }
        match self.item() {
            Ok(Some(item)) => Ok(Some(item)),
            Ok(None) => self.end().map(|()| None),
            Err(failure) => Err(failure.at(self.input.offset())),
        }
    }

    /// The file's end has come.
    pub(super) fn end(&mut self) -> Result<(), FileError> {
        self.over = true;
        self.finish()
    }

    /// True if nothing stands behind the end.
    ///
    /// # Errors
    /// The medium fails.
    pub fn is_at_end(&mut self) -> Result<bool, RdbError> {
        self.input.is_at_end()
    }

    /// Reads up to the next key, or a whole item of another kind.
    pub(super) fn head(&mut self) -> Result<Head, Failure> {
        let input = &mut self.input;
        let (mut expire_at_ms, mut idle_s, mut freq) = (None, None, None);
        loop {
            match read::byte(input)? {
                op::END => return Ok(Head::End),
                op::SELECT_DB => {
                    self.db = u32::try_from(read::len(input)?).map_err(|_| RdbError::Length)?;
                }
                op::RESIZE_DB => {
                    return Ok(Head::Item(Item::Resize {
                        db: self.db,
                        keys: read::len(input)?,
                        expiring: read::len(input)?,
                    }));
                }
                op::SLOT_INFO => {
                    for _ in 0..3 {
                        read::len(input)?;
                    }
                }
                op::AUX => {
                    let (name, value) = (read::string(input)?, read::string(input)?);
                    return Ok(Head::Item(Item::Aux(name, value)));
                }
                op::FUNCTION => return Ok(Head::Item(Item::Function(read::string(input)?))),
                op::FUNCTION_EARLY => {
                    return Err(Failure::Foreign(
                        "functions in the form of a release candidate of Redis 7.0".into(),
                    ));
                }
                op::MODULE_AUX => {
                    let name = module_name(read::len(input)?);
                    return Err(Failure::Foreign(format!(
                        "data of the module type '{name}', and there are no modules"
                    )));
                }
                op::SLOT_IMPORT => {
                    return Err(Failure::Foreign("an unfinished import of slots of Valkey".into()));
                }
                op::EXPIRE_MS => expire_at_ms = Some(read::millis(input)?),
                op::EXPIRE_S => {
                    let seconds = i32::from_le_bytes(read::bytes(input)?);
                    expire_at_ms = Some(i64::from(seconds) * 1000);
                }
                op::IDLE => idle_s = Some(read::len(input)?),
                op::FREQ => freq = Some(read::byte(input)?),
                code => {
                    return Ok(Head::Key(KeyHead {
                        db: self.db,
                        ty: Type::new(code, self.version)?,
                        expire_at_ms: expire_at_ms.filter(|at| *at >= 0),
                        idle_s,
                        freq,
                    }));
                }
            }
        }
    }

    fn item(&mut self) -> Result<Option<Item>, Failure> {
        match self.head()? {
            Head::End => Ok(None),
            Head::Item(item) => Ok(Some(item)),
            Head::Key(head) => Ok(Some(Item::Record(head.record(&mut self.input, &self.limits)?))),
        }
    }

    /// What was read behind the end of the file, with what is left to be read.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        self.input.into_rest()
    }

    fn finish(&mut self) -> Result<(), FileError> {
        if self.version < 5 {
            return Ok(());
        }
        let got = self.input.checksum();
        let mut bytes = [0; 8];
        self.input.fill(&mut bytes).map_err(|error| FileError::Damaged {
            offset: self.input.offset(),
            error,
        })?;
        let expected = u64::from_le_bytes(bytes);
        match got {
            Some(got) if self.check && expected != 0 && expected != got => {
                Err(FileError::Checksum { expected, got })
            }
            Some(_) | None => {
                self.verified = got.is_some() && expected != 0;
                Ok(())
            }
        }
    }
}

/// What a step of reading found.
pub(super) enum Head {
    End,
    Item(Item),
    /// Key and value follow.
    Key(KeyHead),
}

/// What stands before a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHead {
    pub(super) db: u32,
    pub(super) ty: Type,
    pub(super) expire_at_ms: Option<i64>,
    pub(super) idle_s: Option<u64>,
    pub(super) freq: Option<u8>,
}

impl KeyHead {
    /// Reads key and value.
    pub(super) fn record(&self, input: &mut impl Input, limits: &Limits) -> Result<Record, RdbError> {
        let key = read::string(input)?;
        let value = match read_value(input, self.ty, limits) {
            Ok(value) => Some(value),
            Err(RdbError::Empty) => None,
            Err(error) => return Err(error),
        };
        Ok(Record {
            db: self.db,
            key,
            expire_at_ms: self.expire_at_ms,
            idle_s: self.idle_s,
            freq: self.freq,
            value,
        })
    }
}

pub(super) enum Failure {
    Damaged(RdbError),
    Foreign(String),
}

impl Failure {
    pub(super) fn at(self, offset: u64) -> FileError {
        match self {
            Self::Damaged(error) => FileError::Damaged { offset, error },
            Self::Foreign(what) => FileError::Foreign { offset, what },
        }
    }
}

impl From<RdbError> for Failure {
    fn from(error: RdbError) -> Self {
        Self::Damaged(error)
    }
}
