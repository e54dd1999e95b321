//! `bit`: operations on 32-bit integers, as BitOp 1.0.2 has them.

use mlua::{Lua, Result, Table};

use crate::args::{Args, add};

/// The library's table.
pub(crate) fn table(lua: &Lua) -> Result<Table> {
    let bit = lua.create_table()?;
    add(lua, &bit, "tobit", |args| Ok(operand(args, 1)? as i32))?;
    add(lua, &bit, "bnot", |args| Ok(!operand(args, 1)? as i32))?;
    add(lua, &bit, "bswap", |args| {
        Ok(operand(args, 1)?.swap_bytes() as i32)
    })?;
    add(lua, &bit, "band", |args| fold(args, |a, b| a & b))?;
    add(lua, &bit, "bor", |args| fold(args, |a, b| a | b))?;
    add(lua, &bit, "bxor", |args| fold(args, |a, b| a ^ b))?;
    add(lua, &bit, "lshift", |args| shift(args, |a, n| a << n))?;
    add(lua, &bit, "rshift", |args| shift(args, |a, n| a >> n))?;
    add(lua, &bit, "arshift", |args| {
        shift(args, |a, n| (a as i32 >> n) as u32)
    })?;
    add(lua, &bit, "rol", |args| shift(args, u32::rotate_left))?;
    add(lua, &bit, "ror", |args| shift(args, u32::rotate_right))?;
    add(lua, &bit, "tohex", to_hex)?;
    Ok(bit)
}

/// The argument's low 32 bits, rounded to the nearest integer, ties to even.
fn operand(args: &Args<'_>, number: usize) -> Result<u32> {
    // 2^52 + 2^51: the sum's mantissa ends with the integer, negative ones in two's complement.
    const TO_MANTISSA: f64 = 6_755_399_441_055_744.0;
    Ok((args.number(number)? + TO_MANTISSA).to_bits() as u32)
}

fn fold(args: &Args<'_>, join: fn(u32, u32) -> u32) -> Result<i32> {
    let first = operand(args, 1)?;
    let all = (2..=args.len()).try_fold(first, |so_far, number| Ok(join(so_far, operand(args, number)?)));
    all.map(|bits: u32| bits as i32)
}

fn shift(args: &Args<'_>, shift: fn(u32, u32) -> u32) -> Result<i32> {
    let bits = operand(args, 1)?;
    Ok(shift(bits, operand(args, 2)? & 31) as i32)
}

/// The last digits in hexadecimal: as many as the second argument says, upper case if it is negative.
fn to_hex(args: &Args<'_>) -> Result<String> {
    let bits = operand(args, 1)?;
    let digits = if args.len() < 2 {
        8
    } else {
        operand(args, 2)? as i32
    };
    let text = if digits < 0 {
        format!("{bits:08X}")
    } else {
        format!("{bits:08x}")
    };
    let skipped = 8usize.saturating_sub(digits.unsigned_abs() as usize);
    Ok(text[skipped..].to_owned())
}

#[cfg(test)]
mod tests {
    use crate::lua_testing::check;

    #[test]
    fn numbers_are_taken_modulo_2_to_the_32() {
        check("bit.tobit(2^32 + 5)", "5");
        check("bit.tobit(2^31)", "-2147483648");
        check("bit.tobit(1.5)", "2");
        check("bit.tobit(2.5)", "2");
        check("bit.tobit('0x10')", "16");
    }

    #[test]
    fn operations() {
        check("bit.band(7, 6, 5)", "4");
        check("bit.bor(1, 2, 4)", "7");
        check("bit.bxor(1, 3, 7)", "5");
        check("bit.bnot(5)", "-6");
        check("bit.lshift(1, 33)", "2");
        check("bit.rshift(-1, 1)", "2147483647");
        check("bit.arshift(-256, 4)", "-16");
        check("bit.rol(0x12345678, 8)", "878082066");
        check("bit.ror(0x12345678, 8)", "2014458966");
        check("bit.bswap(0x12345678)", "2018915346");
    }

    #[test]
    fn hexadecimal() {
        check("bit.tohex(1)", "\"00000001\"");
        check("bit.tohex(0xabcdef, -4)", "\"CDEF\"");
        check("bit.tohex(1, 0)", "\"\"");
        check("bit.tohex(255, -2^31)", "\"000000FF\"");
    }

    #[test]
    fn errors_name_the_argument_and_the_function() {
        check(
            "bit.band()",
            "! user_script:1: bad argument #1 to 'band' (number expected, got no value)",
        );
        check(
            "bit.band(1, 2, {})",
            "! user_script:1: bad argument #3 to 'band' (number expected, got table)",
        );
        check(
            "bit:tobit(1)",
            "! user_script:1: calling 'tobit' on bad self (number expected, got table)",
        );
    }
}
