//! The parts of a JSON text, with what lua-cjson takes beyond the standard. A NUL ends the text, as it ends a C string.

use super::number;

/// What stands at one place of the text.
#[derive(Clone, Copy)]
pub(super) enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Its content is the reader's [`Tokens::string`].
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// None of them, and why.
    Error(&'static str),
}

impl Token {
    /// How error texts call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Error(reason) => reason,
        }
    }
}

/// Reads tokens one after the other.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    /// Where the next token or blank stands.
    pub(super) position: usize,
    /// Where the last token began, or where its error is.
    pub(super) start: usize,
    /// The content of the last string.
    pub(super) string: Vec<u8>,
    take_invalid_numbers: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8], take_invalid_numbers: bool) -> Self {
        Self {
            text,
            position: 0,
            start: 0,
            string: Vec::new(),
            take_invalid_numbers,
        }
    }

    pub(super) fn next(&mut self) -> Token {
        while matches!(self.at(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.position += 1;
        }
        self.start = self.position;
        match self.at(0) {
            b'{' => self.skip(1, Token::ObjectBegin),
            b'}' => self.skip(1, Token::ObjectEnd),
            b'[' => self.skip(1, Token::ArrayBegin),
            b']' => self.skip(1, Token::ArrayEnd),
            b':' => self.skip(1, Token::Colon),
            b',' => self.skip(1, Token::Comma),
            0 => Token::End,
            b'"' => self.string(),
            b'-' | b'0'..=b'9' if !self.take_invalid_numbers && self.is_invalid_number() => {
                Token::Error("invalid number")
            }
            b'-' | b'0'..=b'9' => self.number(),
            _ if self.rest().starts_with(b"true") => self.skip(4, Token::Boolean(true)),
            _ if self.rest().starts_with(b"false") => self.skip(5, Token::Boolean(false)),
            _ if self.rest().starts_with(b"null") => self.skip(4, Token::Null),
            b'+' | b'i' | b'I' | b'n' | b'N' if self.take_invalid_numbers && self.is_invalid_number() => {
                self.number()
            }
            _ => Token::Error("invalid token"),
        }
    }

    /// The byte `ahead` of the place, 0 behind the end.
    fn at(&self, ahead: usize) -> u8 {
        self.text.get(self.position + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.position..]
    }

    fn skip(&mut self, length: usize, token: Token) -> Token {
        self.position += length;
        token
    }

    fn number(&mut self) -> Token {
        match number::parse(self.rest()) {
            Some((value, length)) => self.skip(length, Token::Number(value)),
            None => Token::Error("invalid number"),
        }
    }

    /// Whether a number, if it is one, is none of JSON's: signed with a plus, hexadecimal, zeros in front, infinite.
    fn is_invalid_number(&self) -> bool {
        let text = self.rest();
        let magnitude = match text {
            [b'+', ..] => return true,
            [b'-', rest @ ..] => rest,
            _ => text,
        };
        match magnitude {
            [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
            [first, ..] if *first <= b'9' => false,
            _ => {
                let start = magnitude.get(..3).unwrap_or_default();
                start.eq_ignore_ascii_case(b"inf") || start.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn string(&mut self) -> Token {
        self.position += 1;
        self.string.clear();
        loop {
            let plain = self
                .rest()
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0));
            let plain = plain.unwrap_or(self.rest().len());
            self.string.extend_from_slice(&self.rest()[..plain]);
            self.position += plain;
            match self.at(0) {
                b'"' => return self.skip(1, Token::String),
                b'\\' => {
                    if let Err(reason) = self.escape() {
                        self.start = self.position;
                        return Token::Error(reason);
                    }
                }
                _ => {
                    self.start = self.position;
                    return Token::Error("unexpected end of string");
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let byte = match self.at(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => return self.unicode_escape().ok_or("invalid unicode escape code"),
            _ => return Err("invalid escape code"),
        };
        self.string.push(byte);
        self.position += 2;
        Ok(())
    }

    fn unicode_escape(&mut self) -> Option<()> {
        let first = self.hex4(2)?;
        let (code, length) = match first {
            0xd800..=0xdbff => {
                if self.at(6) != b'\\' || self.at(7) != b'u' {
                    return None;
                }
                let second = self.hex4(8).filter(|code| (0xdc00..=0xdfff).contains(code))?;
                (0x10000 + ((first & 0x3ff) << 10 | second & 0x3ff), 12)
            }
            code => (code, 6),
        };
        // Fails for the second half of a pair that stands alone.
        let character = char::from_u32(code)?;
        self.string
            .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.position += length;
        Some(())
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        (ahead..ahead + 4).try_fold(0, |code, place| {
            Some(code << 4 | char::from(self.at(place)).to_digit(16)?)
        })
    }
}
