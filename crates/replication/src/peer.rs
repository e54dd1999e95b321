//! What a replica says of itself before it asks for data (REPLCONF), as its primary hears it.
//!
//! Facts: <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/> and what 7.0.15 answers.
//!
//! Must not know: sockets, replies' forms, what the bytes of the stream mean.

/// What belongs into the snapshot that it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Content {
    /// All data.
    #[default]
    All,
    /// Libraries of functions alone.
    Functions,
    /// Nothing: neither keys nor functions.
    Nothing,
}

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// The port that it listens on; 0: it has not said.
    pub port: i64,
    /// The address that it wants to be known by, if not the connection's.
    pub ip: Option<String>,
    /// It can take a snapshot whose length is not known (`capa eof`).
    pub eof: bool,
    /// It understands a new id in `+CONTINUE` (`capa psync2`).
    pub psync2: bool,
    /// It wants a snapshot, and nothing after it (`rdb-only 1`).
    pub rdb_only: bool,
    /// What the snapshot is to hold (`rdb-filter-only`).
    pub content: Content,
}

/// One pair of words of REPLCONF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Noted.
    Noted,
    /// `ack`: it has everything before this offset of the log.
    Received(u64),
    /// `fack`: it has synced everything before this offset to its append-only file.
    Synced(u64),
    /// `getack`: it is asked of a replica.
    AckWanted,
}

/// Why REPLCONF is answered with an error; the texts are 7.0.15's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Misfit {
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    #[error("ERR value is out of range, value must between 0 and 1")]
    NotBit,
    #[error("ERR REPLCONF ip-address provided by replica instance is too long: {0} bytes")]
    LongAddress(usize),
    #[error("ERR Unsupported rdb-filter-only option: {0}")]
    Filter(String),
    #[error("ERR Unrecognized REPLCONF option: {0}")]
    Unknown(String),
}

/// Bytes of the longest address that is taken.
const LONGEST_ADDRESS: usize = 1024;

impl Introduction {
    /// Takes one pair of words. `number` reads an integer as the server does.
    ///
    /// # Errors
    /// See [`Misfit`]; nothing is noted then.
    pub fn hear(
        &mut self,
        option: &[u8],
        value: &[u8],
        number: impl Fn(&[u8]) -> Option<i64>,
    ) -> Result<Said, Misfit> {
        let offset = |text: &[u8]| number(text).map(|offset| u64::try_from(offset).unwrap_or(0));
        match option.to_ascii_lowercase().as_slice() {
            b"listening-port" => self.port = number(value).ok_or(Misfit::NotInteger)?,
            b"ip-address" if value.len() > LONGEST_ADDRESS => return Err(Misfit::LongAddress(value.len())),
            b"ip-address" => {
                let ip = String::from_utf8_lossy(value).into_owned();
                self.ip = Some(ip).filter(|ip| !ip.is_empty());
            }
            b"capa" if value.eq_ignore_ascii_case(b"eof") => self.eof = true,
            b"capa" if value.eq_ignore_ascii_case(b"psync2") => self.psync2 = true,
            // Others may come with later versions; a primary that does not know them is asked for nothing by them.
            b"capa" | b"version" => {}
            b"rdb-only" => {
                self.rdb_only = match number(value) {
                    Some(0) => false,
                    Some(1) => true,
                    Some(_) => return Err(Misfit::NotBit),
                    None => return Err(Misfit::NotInteger),
                }
            }
            b"rdb-filter-only" => {
                let mut content = Content::Nothing;
                for word in value.split(|b| *b == b' ').filter(|word| !word.is_empty()) {
                    if !word.eq_ignore_ascii_case(b"functions") {
                        return Err(Misfit::Filter(String::from_utf8_lossy(word).into_owned()));
                    }
                    content = Content::Functions;
                }
                self.content = content;
            }
            b"ack" => return offset(value).map(Said::Received).ok_or(Misfit::NotInteger),
            b"fack" => return offset(value).map(Said::Synced).ok_or(Misfit::NotInteger),
            b"getack" => return Ok(Said::AckWanted),
            _ => {
                let option = String::from_utf8_lossy(option).into_owned();
                return Err(Misfit::Unknown(option));
            }
        }
        Ok(Said::Noted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &[u8]) -> Option<i64> {
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    fn hear(who: &mut Introduction, option: &str, value: &str) -> Result<Said, Misfit> {
        who.hear(option.as_bytes(), value.as_bytes(), number)
    }

    #[test]
    fn a_replica_introduces_itself() {
        let mut who = Introduction::default();
        for (option, value) in [
            ("listening-port", "6380"),
            ("IP-Address", "10.0.0.7"),
            ("capa", "EOF"),
            ("capa", "psync2"),
            ("capa", "something-new"),
            ("rdb-only", "1"),
            ("rdb-filter-only", "functions"),
        ] {
            assert_eq!(hear(&mut who, option, value), Ok(Said::Noted), "{option}");
        }
        let want = Introduction {
            port: 6380,
            ip: Some("10.0.0.7".into()),
            eof: true,
            psync2: true,
            rdb_only: true,
            content: Content::Functions,
        };
        assert_eq!(who, want);
        assert_eq!(hear(&mut who, "ack", "12"), Ok(Said::Received(12)));
        assert_eq!(hear(&mut who, "ack", "-1"), Ok(Said::Received(0)));
        assert_eq!(hear(&mut who, "fack", "9"), Ok(Said::Synced(9)));
        assert_eq!(hear(&mut who, "getack", "*"), Ok(Said::AckWanted));
        hear(&mut who, "rdb-filter-only", "").unwrap();
        hear(&mut who, "ip-address", "").unwrap();
        assert_eq!((who.content, who.ip), (Content::Nothing, None));
    }

    #[test]
    fn nonsense_is_told() {
        let long = "a".repeat(2000);
        for (option, value, text) in [
            ("listening-port", "x", "value is not an integer or out of range"),
            ("ack", "", "value is not an integer or out of range"),
            (
                "rdb-only",
                "2",
                "value is out of range, value must between 0 and 1",
            ),
            (
                "rdb-filter-only",
                "functions keys",
                "Unsupported rdb-filter-only option: keys",
            ),
            ("what", "1", "Unrecognized REPLCONF option: what"),
            (
                "ip-address",
                &long,
                "REPLCONF ip-address provided by replica instance is too long: 2000 bytes",
            ),
        ] {
            let mut who = Introduction::default();
            let error = hear(&mut who, option, value).unwrap_err();
            assert_eq!(error.to_string(), format!("ERR {text}"));
            assert_eq!(who, Introduction::default());
        }
    }
}
