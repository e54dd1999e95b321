//! Values as `redis-cli` prints them on a terminal, without the last line end.
//!
//! The number in front of an element is padded to the widest; what is nested is indented by that and two more.
//! A map's value starts a line of its own if it is an aggregate of more than one element.

use std::fmt::{self, Display, Formatter, Write};

use super::Value;
use crate::number::format_double;

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_value(self, 0, f)
    }
}

fn write_value(value: &Value, indent: usize, f: &mut Formatter<'_>) -> fmt::Result {
    match value {
        Value::Simple(text) | Value::Verbatim(_, text) | Value::BigNumber(text) => {
            f.write_str(&String::from_utf8_lossy(text))
        }
        Value::Error(text) => write!(f, "(error) {}", String::from_utf8_lossy(text)),
        Value::Int(value) => write!(f, "(integer) {value}"),
        Value::Bulk(bytes) => write_quoted(bytes, f),
        Value::Null => f.write_str("(nil)"),
        Value::Array(elements) => write_elements(elements, ')', "array", indent, f),
        Value::Set(elements) => write_elements(elements, '~', "set", indent, f),
        Value::Push(elements) => write_elements(elements, '>', "push", indent, f),
        Value::Map(pairs) => write_pairs(pairs, '#', "hash", indent, f),
        Value::Double(value) => {
            let mut text = Vec::new();
            format_double(*value, &mut text);
            write!(f, "(double) {}", String::from_utf8_lossy(&text))
        }
        Value::Bool(value) => write!(f, "({value})"),
        Value::Attribute(pairs, value) => {
            write_pairs(pairs, '|', "attribute", indent, f)?;
            f.write_char('\n')?;
            write_value(value, indent, f)
        }
    }
}

fn write_elements(
    elements: &[Value],
    sign: char,
    kind: &str,
    indent: usize,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    if elements.is_empty() {
        return write!(f, "(empty {kind})");
    }
    let width = digits(elements.len());
    for (index, element) in elements.iter().enumerate() {
        write_number(index, width, sign, indent, f)?;
        write_value(element, indent + width + 2, f)?;
    }
    Ok(())
}

fn write_pairs(
    pairs: &[(Value, Value)],
    sign: char,
    kind: &str,
    indent: usize,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    if pairs.is_empty() {
        return write!(f, "(empty {kind})");
    }
    let width = digits(pairs.len());
    let inner = indent + width + 2;
    for (index, (key, value)) in pairs.iter().enumerate() {
        write_number(index, width, sign, indent, f)?;
        write_value(key, inner, f)?;
        f.write_str(" => ")?;
        if element_count(value) > 1 {
            write!(f, "\n{:inner$}", "")?;
        }
        write_value(value, inner, f)?;
    }
    Ok(())
}

/// The number in front of an element; the first one stands where the cursor is.
fn write_number(index: usize, width: usize, sign: char, indent: usize, f: &mut Formatter<'_>) -> fmt::Result {
    if index > 0 {
        write!(f, "\n{:indent$}", "")?;
    }
    write!(f, "{:width$}{sign} ", index + 1)
}

fn element_count(value: &Value) -> usize {
    match value {
        Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => elements.len(),
        Value::Map(pairs) | Value::Attribute(pairs, _) => pairs.len(),
        Value::Simple(_)
        | Value::Error(_)
        | Value::Int(_)
        | Value::Bulk(_)
        | Value::Null
        | Value::Double(_)
        | Value::Bool(_)
        | Value::Verbatim(..)
        | Value::BigNumber(_) => 0,
    }
}

fn digits(count: usize) -> usize {
    count.ilog10() as usize + 1
}

fn write_quoted(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for byte in bytes {
        match byte {
            b'\\' | b'"' => write!(f, "\\{}", char::from(*byte))?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            0x07 => f.write_str("\\a")?,
            0x08 => f.write_str("\\b")?,
            b' '..=b'~' => f.write_char(char::from(*byte))?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_char('"')
}
