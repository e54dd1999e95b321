//! What the commands about expiring fields have in common: `FIELDS numfields field ...`, the times, and the commands
//! that the log gets.

use holdfast_storage::types::hash::FIELD_EXPIRY_MAX_MS;
use holdfast_storage::value::Kind;

use crate::args::{self, Args};
use crate::ctx::Ctx;
use crate::error::CmdError;

/// Redis's word for a number of fields that is none: each group of commands has its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum BadCount {
    /// HEXPIRE and its kin.
    Expire,
    /// HTTL and its kin, HPERSIST, HGETDEL.
    Look,
}

impl BadCount {
    fn error(self) -> CmdError {
        CmdError::msg(match self {
            Self::Expire => "ERR Parameter `numFields` should be greater than 0",
            Self::Look => "ERR Number of fields must be a positive integer",
        })
    }
}

/// The fields behind `FIELDS numfields`, which stands at argument `at` and ends the command.
pub(super) fn fields<'a>(
    args: Args<'a>,
    at: usize,
    bad: BadCount,
) -> Result<impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a>, CmdError> {
    if !args.is(at, "FIELDS") {
        return Err(CmdError::msg(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = args.opt(at + 1).and_then(|count| args::int(count).ok());
    let count = count.filter(|count| *count > 0).ok_or_else(|| bad.error())?;
    let fields = args.from(at + 2);
    if usize::try_from(count) != Ok(fields.len()) {
        return Err(CmdError::msg(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(fields)
}

/// An error if the key holds no hash; the look-up is part of a write.
pub(super) fn check_type(ctx: &mut Ctx<'_, '_>, key: &[u8]) -> Result<(), CmdError> {
    match ctx.data.get_for_write(key) {
        Some(value) if value.kind() != Kind::Hash => Err(CmdError::WrongType),
        Some(_) | None => Ok(()),
    }
}

/// A time of `value` units after `base_ms`, in Unix ms.
pub(super) fn expiry_ms(
    value: i64,
    unit_ms: i64,
    base_ms: i64,
    command: &'static str,
) -> Result<i64, CmdError> {
    if value < 0 {
        return Err(CmdError::msg("ERR invalid expire time, must be >= 0"));
    }
    value
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base_ms))
        .filter(|at_ms| *at_ms <= FIELD_EXPIRY_MAX_MS)
        .ok_or(CmdError::InvalidExpire(command))
}

/// Logs that fields were removed.
pub(super) fn log_removed(ctx: &mut Ctx<'_, '_>, key: &[u8], fields: &[&[u8]]) {
    let mut argv: Vec<&[u8]> = vec![b"HDEL", key];
    argv.extend(fields);
    ctx.log.rewrite(&argv);
}

/// Logs that fields expire at a time.
pub(super) fn log_expiry(ctx: &mut Ctx<'_, '_>, key: &[u8], at_ms: i64, fields: &[&[u8]]) {
    let (mut at, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (at, count) = (at.format(at_ms).as_bytes(), count.format(fields.len()).as_bytes());
    let mut argv: Vec<&[u8]> = vec![b"HPEXPIREAT", key, at, b"FIELDS", count];
    argv.extend(fields);
    ctx.log.rewrite(&argv);
}

/// Logs that fields live for ever.
pub(super) fn log_persisted(ctx: &mut Ctx<'_, '_>, key: &[u8], fields: &[&[u8]]) {
    let mut count = itoa::Buffer::new();
    let mut argv: Vec<&[u8]> = vec![b"HPERSIST", key, b"FIELDS", count.format(fields.len()).as_bytes()];
    argv.extend(fields);
    ctx.log.rewrite(&argv);
}
