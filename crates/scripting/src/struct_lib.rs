//! `struct`: numbers and strings to and from packed bytes, as Roberto Ierusalimschy's library 0.2 with the limits that
//! Redis 7.0 puts to it.

use mlua::{Error, Lua, MultiValue, Result, Table, Value};

use crate::args::{Args, MAX_RESULTS, add, truncate};

/// Bytes of the widest integer.
const MAX_INTEGER: usize = 32;
/// Alignment that `!` without a number asks for.
const NATIVE_ALIGNMENT: usize = 8;

const TOO_MANY_RESULTS: &str = "stack overflow (too many results)";

/// The library's table.
pub(crate) fn table(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    add(lua, &library, "pack", pack)?;
    add(lua, &library, "unpack", unpack)?;
    add(lua, &library, "size", size)?;
    Ok(library)
}

/// A format as far as it has been read, with the byte order and alignment in force.
struct Format<'a> {
    args: &'a Args<'a>,
    rest: &'a [u8],
    big_endian: bool,
    align: usize,
}

impl<'a> Format<'a> {
    fn new(args: &'a Args<'a>, text: &'a [u8]) -> Self {
        // A C string: it ends at the first NUL.
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Self {
            args,
            rest: &text[..end],
            big_endian: false,
            align: 1,
        }
    }

    /// The next option and its size in bytes, 0 for those without one.
    fn next(&mut self) -> Result<Option<(u8, usize)>> {
        let Some((option, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => self.integer_size()?,
            _ => 0,
        };
        Ok(Some((*option, size)))
    }

    fn integer_size(&mut self) -> Result<usize> {
        let size = self.number(4)?;
        if size > MAX_INTEGER {
            let message = format!("integral size {size} is larger than limit of {MAX_INTEGER}");
            return Err(self.args.raise(&message));
        }
        Ok(size)
    }

    /// The digits that follow, a C `int`.
    fn number(&mut self, default: usize) -> Result<usize> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (text, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number = text.iter().try_fold(0i32, |n, digit| {
            n.checked_mul(10)?.checked_add(i32::from(digit - b'0'))
        });
        let number = number.and_then(|n| usize::try_from(n).ok());
        number.ok_or_else(|| self.args.raise("integral size overflow"))
    }

    /// Bytes to skip at `position` before an option of `size` bytes.
    fn padding(&self, position: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.align);
        // Not quite a remainder: sizes that are no power of two are padded as Redis pads them.
        (size - (position & (size - 1))) & (size - 1)
    }

    /// Takes in an option that stands for no value.
    fn control(&mut self, option: u8) -> Result<()> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let align = self.number(NATIVE_ALIGNMENT)?;
                if !align.is_power_of_two() {
                    return Err(self.args.raise(&format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            _ => {
                let message = format!("invalid format option '{}'", char::from(option));
                return Err(self.args.error(1, &message));
            }
        }
        Ok(())
    }
}

fn pack(args: &Args<'_>) -> Result<Value> {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(args, &text);
    let mut out = Vec::new();
    let mut number = 1;
    while let Some((option, size)) = format.next()? {
        out.resize(out.len() + format.padding(out.len(), option, size), 0);
        if takes_value(option) {
            number += 1;
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = to_word(packed_number(args, number)?);
                put_integer(&mut out, value, size, format.big_endian);
            }
            b'f' => put(
                &mut out,
                (packed_number(args, number)? as f32).to_le_bytes(),
                format.big_endian,
            ),
            b'd' => put(
                &mut out,
                packed_number(args, number)?.to_le_bytes(),
                format.big_endian,
            ),
            b'x' => out.push(0),
            b'c' | b's' => put_string(args, number, option, size, &mut out)?,
            _ => format.control(option)?,
        }
    }
    args.lua().create_string(out).map(Value::String)
}

fn takes_value(option: u8) -> bool {
    b"bBhHlLTiIfdcs".contains(&option)
}

/// A number to pack. Redis closes the list of arguments with a `nil`, so that is what a missing one is.
fn packed_number(args: &Args<'_>, number: usize) -> Result<f64> {
    if number > args.len() {
        return Err(args.error(number, "number expected, got nil"));
    }
    args.number(number)
}

fn put_string(args: &Args<'_>, number: usize, option: u8, size: usize, out: &mut Vec<u8>) -> Result<()> {
    if number > args.len() {
        return Err(args.error(number, "string expected, got nil"));
    }
    let string = args.string(number)?;
    let bytes = string.as_bytes();
    let size = if size == 0 { bytes.len() } else { size };
    let Some(bytes) = bytes.get(..size) else {
        // Counted past the string, as Redis does.
        return Err(args.error(number + 1, "string too short"));
    };
    out.extend_from_slice(bytes);
    if option == b's' {
        out.push(0);
    }
    Ok(())
}

/// C's conversion of a double to a 64-bit word: negative ones in two's complement.
fn to_word(n: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if n >= HALF {
        truncate(n - HALF) as u64 ^ (1 << 63)
    } else {
        truncate(n) as u64
    }
}

fn put_integer(out: &mut Vec<u8>, value: u64, size: usize, big_endian: bool) {
    let mut bytes = [0; MAX_INTEGER];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    let start = out.len();
    out.extend_from_slice(&bytes[..size]);
    if big_endian {
        out[start..].reverse();
    }
}

fn put<const N: usize>(out: &mut Vec<u8>, mut bytes: [u8; N], big_endian: bool) {
    if big_endian {
        bytes.reverse();
    }
    out.extend_from_slice(&bytes);
}

fn size(args: &Args<'_>) -> Result<f64> {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(args, &text);
    let mut total = 0usize;
    while let Some((option, size)) = format.next()? {
        let padding = format.padding(total, option, size);
        if option == b's' || option == b'c' && size == 0 {
            let option = if option == b's' { "s" } else { "c0" };
            return Err(args.error(1, &format!("option '{option}' has no fixed size")));
        }
        if !option.is_ascii_alphanumeric() {
            format.control(option)?;
        }
        // Each is below 2^31, and takes a byte of the format at least.
        total = total.saturating_add(padding).saturating_add(size);
    }
    Ok(total as f64)
}

fn unpack(args: &Args<'_>) -> Result<MultiValue> {
    let text = args.string(1)?;
    let data = args.string(2)?;
    // Unsigned, as in Redis: a negative position lies far behind the data.
    let mut position = args.integer_or(3, 1)? as usize;
    if position == 0 {
        return Err(args.error(3, "offset must be 1 or greater"));
    }
    position -= 1;
    let (text, data) = (text.as_bytes(), data.as_bytes());
    let mut format = Format::new(args, &text);
    let mut results: Vec<Value> = Vec::new();
    let too_short = || args.error(2, "data string too short");
    while let Some((option, size)) = format.next()? {
        position = position.wrapping_add(format.padding(position, option, size));
        let tail = data.get(position..).ok_or_else(too_short)?;
        let field = tail.get(..size).ok_or_else(too_short)?;
        if results.len() >= MAX_RESULTS {
            return Err(args.raise(TOO_MANY_RESULTS));
        }
        let mut read = size;
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let signed = option.is_ascii_lowercase();
                results.push(Value::Number(get_integer(field, format.big_endian, signed)));
            }
            b'f' => results.push(Value::Number(f64::from(f32::from_le_bytes(get(
                field,
                format.big_endian,
            ))))),
            b'd' => results.push(Value::Number(f64::from_le_bytes(get(field, format.big_endian)))),
            b'x' => {}
            b'c' => {
                if size == 0 {
                    read = length_before(args, &mut results)?;
                }
                let field = tail.get(..read).ok_or_else(too_short)?;
                results.push(string(args, field)?);
            }
            b's' => {
                let end = memchr::memchr(0, tail).ok_or_else(|| args.raise("unfinished string in data"))?;
                results.push(string(args, &tail[..end])?);
                read = end + 1;
            }
            _ => format.control(option)?,
        }
        position += read;
    }
    results.push(Value::Number(position.wrapping_add(1) as i64 as f64));
    Ok(results.into())
}

/// A string among the results. Those stand in the slots in which mlua keeps values, which may run out before Lua's own.
fn string(args: &Args<'_>, bytes: &[u8]) -> Result<Value> {
    let string = args.lua().create_string(bytes).map_err(|error| match error {
        Error::StackError => args.raise(TOO_MANY_RESULTS),
        error => error,
    });
    string.map(Value::String)
}

/// Takes the number before a `c0`, which is its length.
fn length_before(args: &Args<'_>, results: &mut Vec<Value>) -> Result<usize> {
    let length = match results.last() {
        Some(last @ (Value::Number(_) | Value::String(_))) => args.lua().coerce_number(last.clone())?,
        _ => None,
    };
    let Some(length) = length else {
        return Err(args.raise("format 'c0' needs a previous size"));
    };
    results.pop();
    Ok(to_word(length) as usize)
}

/// The low 64 bits of an integer; as C has it on x86-64, the sign of wider ones is looked for at that bit modulo 64.
fn get_integer(bytes: &[u8], big_endian: bool, signed: bool) -> f64 {
    let join = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
    let word = if big_endian {
        bytes.iter().fold(0, join)
    } else {
        bytes.iter().rev().fold(0, join)
    };
    if !signed {
        return word as f64;
    }
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32).wrapping_mul(8).wrapping_sub(1));
    if word & sign == 0 {
        word as i64 as f64
    } else {
        (word | sign) as i64 as f64
    }
}

/// The bytes of a field whose option has this size, least significant first.
fn get<const N: usize>(field: &[u8], big_endian: bool) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(field);
    if big_endian {
        bytes.reverse();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use crate::lua_testing::check;

    #[test]
    fn packs_what_it_unpacks() {
        check(
            "struct.unpack('>bBhHiIlLTfds', struct.pack('>bBhHiIlLTfds', -1, 2, -3, 4, -5, 6, -7, 8, 9, 1.5, 2.5, 'abc'))",
            "-1 2 -3 4 -5 6 -7 8 9 1.5 2.5 \"abc\" 55",
        );
        check("struct.pack('>h<h', 258, 258)", r#""\x01\x02\x02\x01""#);
        check("struct.unpack('bc0', '\\2abc')", r#""ab" 4"#);
        check("struct.unpack('s', 'a\\0b')", r#""a" 3"#);
    }

    #[test]
    fn alignment() {
        check(
            "struct.pack('!bi', 1, 2)",
            r#""\x01\x00\x00\x00\x02\x00\x00\x00""#,
        );
        check("struct.size('!8bd')", "16");
        check("struct.size('!8bi6')", "12");
        check(
            "struct.pack('!3b', 1)",
            "! user_script:1: alignment 3 is not a power of 2",
        );
    }

    #[test]
    fn integers_of_any_width() {
        check("struct.unpack('i3', '\\255\\255\\255')", "-1 4");
        check(
            "struct.unpack('I16', string.rep('\\255', 16))",
            "1.8446744073709552e+19 17",
        );
        check("#struct.pack('i32', -2)", "32");
        check(
            "struct.pack('i33', 1)",
            "! user_script:1: integral size 33 is larger than limit of 32",
        );
        check("struct.pack('l', 1/0)", r#""\x00\x00\x00\x00\x00\x00\x00\x00""#);
    }

    #[test]
    fn sizes_that_overflow() {
        check("struct.size('c2147483647c2147483647')", "4294967294");
        check(
            "struct.size('c2147483648')",
            "! user_script:1: integral size overflow",
        );
        check(
            "struct.unpack('c2147483647', 'abc')",
            "! user_script:1: bad argument #2 to 'unpack' (data string too short)",
        );
        check(
            "struct.unpack('dc0', struct.pack('d', 2^62))",
            "! user_script:1: bad argument #2 to 'unpack' (data string too short)",
        );
        check(
            "struct.unpack('b', 'abc', -1)",
            "! user_script:1: bad argument #2 to 'unpack' (data string too short)",
        );
        check(
            "struct.unpack('!1073741824i', 'abc', -2)",
            "! user_script:1: bad argument #2 to 'unpack' (data string too short)",
        );
        check(
            "struct.unpack(string.rep('b', 9000), string.rep('a', 9000))",
            "! user_script:1: stack overflow (too many results)",
        );
    }

    #[test]
    fn missing_arguments() {
        check(
            "struct.pack('b')",
            "! user_script:1: bad argument #2 to 'pack' (number expected, got nil)",
        );
        check(
            "struct.pack('c4', 'abc')",
            "! user_script:1: bad argument #3 to 'pack' (string too short)",
        );
        check(
            "struct.unpack('c0', 'abc')",
            "! user_script:1: format 'c0' needs a previous size",
        );
        check(
            "struct.unpack('s', 'abc')",
            "! user_script:1: unfinished string in data",
        );
        check(
            "struct.unpack('b', 'a', 0)",
            "! user_script:1: bad argument #3 to 'unpack' (offset must be 1 or greater)",
        );
    }
}
