//! The payload of DUMP: a type byte and a value, or the libraries of FUNCTION DUMP, behind them the version of RDB and a
//! checksum.
//!
//! ```text
//!   +------+---------+---------------+-------------------------------------+
//!   | type | value   | version u16   | CRC-64 of all before, u64           |
//!   +------+---------+---------------+-------------------------------------+
//! ```

use holdfast_storage::value::{Value, ValueRef};

use crate::crc64::checksum;
use crate::error::RdbError;
use crate::types::{Dialect, Type};
use crate::value::{Limits, read_value, type_of, version_of, write_value};
use crate::write::Writer;

/// Bytes behind the body.
const FOOTER: usize = 10;
/// Versions of Redis that are understood; 0 is accepted because Redis does so.
pub const REDIS_VERSIONS: std::ops::RangeInclusive<u16> = 0..=12;
/// The version of Valkey that is understood.
pub const VALKEY_VERSION: u16 = 80;

/// Why a payload is not a value.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Too short, of a version that is not known, or damaged.
    #[error("DUMP payload version or checksum are wrong")]
    Footer,
    /// What is inside is wrong.
    #[error("Bad data format")]
    Value(#[from] RdbError),
}

/// The payload of a value; long strings in it are compressed if `compress`. Its version is the lowest that the value
/// allows, of the family that `dialect` names.
pub fn dump(value: ValueRef<'_>, compress: bool, dialect: Dialect) -> Vec<u8> {
    let mut w = Writer::new(Vec::new(), compress);
    w.byte(type_of(value, dialect).code())
        .and_then(|()| write_value(&mut w, value, dialect))
        .expect("memory takes what is written to it");
    let mut payload = w.into_inner();
    seal(&mut payload, version_of(value, dialect));
    payload
}

/// Puts version and checksum behind a body.
pub fn seal(body: &mut Vec<u8>, version: u16) {
    body.extend_from_slice(&version.to_le_bytes());
    body.extend_from_slice(&checksum(body).to_le_bytes());
}

/// The body of a payload and its version. With `skip_checksum` (DEBUG SET-SKIP-CHECKSUM-VALIDATION) only the version is
/// looked at.
///
/// # Errors
/// It is too short, of a version that is not known, or damaged.
pub fn open(payload: &[u8], skip_checksum: bool) -> Result<(&[u8], u16), PayloadError> {
    let footer = payload.len().checked_sub(FOOTER).ok_or(PayloadError::Footer)?;
    let (body, footer) = payload.split_at(footer);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    if !REDIS_VERSIONS.contains(&version) && version != VALKEY_VERSION {
        return Err(PayloadError::Footer);
    }
    if !skip_checksum && checksum(&payload[..payload.len() - 8]).to_le_bytes() != footer[2..] {
        return Err(PayloadError::Footer);
    }
    Ok((body, version))
}

/// The value of a payload. Bytes behind the value are ignored, as Redis ignores them.
///
/// # Errors
/// The footer is wrong, or what it covers.
pub fn restore(payload: &[u8], skip_checksum: bool, limits: &Limits) -> Result<Value, PayloadError> {
    let (mut body, version) = open(payload, skip_checksum)?;
    let code = crate::read::byte(&mut body)?;
    Ok(read_value(&mut body, Type::new(code, version)?, limits)?)
}
