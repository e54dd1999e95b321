//! The other end of MIGRATE: a connection to another server over which keys are sent with RESTORE.
//!
//! Must not know: our data.

use std::io;
use std::time::Duration;

use holdfast_resp::encode_command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest line that the target may answer.
const MAX_LINE: usize = 64 << 10;

/// What is to be created at the target.
#[derive(Debug)]
pub struct Parcel {
    /// The key.
    pub key: Box<[u8]>,
    /// How long it lives, in milliseconds; 0: for ever.
    pub ttl_ms: i64,
    /// What DUMP would return.
    pub payload: Vec<u8>,
}

/// Where keys go.
#[derive(Clone, Debug)]
pub struct Address {
    /// Name or number.
    pub host: String,
    /// Port, as the client gave it.
    pub port: String,
    /// Database.
    pub db: i64,
    /// How long connecting, writing and reading may each take.
    pub patience: Duration,
    /// AUTH with these words, if any.
    pub auth: Vec<Vec<u8>>,
    /// Both are nodes of a cluster: the slot is still on its way there.
    pub asking: bool,
}

/// Why keys could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The name means nothing.
    #[error("IOERR error or timeout connecting to the client")]
    Connect,
    /// It does not take what is sent.
    #[error("IOERR error or timeout writing to target instance")]
    Write,
    /// It does not answer.
    #[error("IOERR error or timeout reading from target instance")]
    Read,
    /// It answered with an error.
    #[error("ERR Target instance replied with error: {0}")]
    Refused(String),
}

/// An open connection.
#[derive(Debug)]
pub struct Target {
    stream: TcpStream,
    patience: Duration,
    asking: bool,
    /// What has come and was not read, from `taken` on.
    input: Vec<u8>,
    taken: usize,
}

impl Target {
    /// Connects, authenticates and selects the database.
    pub async fn open(address: &Address) -> Result<Self, TargetError> {
        let patience = address.patience;
        let port: u16 = address.port.parse().map_err(|_| TargetError::Connect)?;
        let places = timeout(patience, tokio::net::lookup_host((&*address.host, port)));
        let places: Vec<_> = match places.await {
            Ok(Ok(places)) => places.collect(),
            Ok(Err(_)) | Err(_) => return Err(TargetError::Connect),
        };
        // Redis connects without waiting, so its error is that of the first write.
        let stream = timeout(patience, TcpStream::connect(&places[..]));
        let stream = stream.await.map_err(|_| TargetError::Write)?;
        let mut target = Self {
            stream: stream.map_err(|_| TargetError::Write)?,
            patience,
            asking: address.asking,
            input: Vec::new(),
            taken: 0,
        };
        let _best_effort = target.stream.set_nodelay(true);
        let mut greeting = Vec::new();
        if !address.auth.is_empty() {
            let words: Vec<&[u8]> = [&b"AUTH"[..]]
                .into_iter()
                .chain(address.auth.iter().map(Vec::as_slice))
                .collect();
            encode_command(&mut greeting, &words);
        }
        encode_command(&mut greeting, &[b"SELECT", address.db.to_string().as_bytes()]);
        target.write(&greeting).await?;
        // Nothing is sent before both are answered, or keys might end up in another database.
        for _ in 0..1 + usize::from(!address.auth.is_empty()) {
            target.reply().await?.map_err(TargetError::Refused)?;
        }
        Ok(target)
    }

    /// Sends keys and hands the answer for each to `each`, in order. After an error nothing is known of those that
    /// `each` has not seen.
    pub async fn restore(
        &mut self,
        parcels: &[Parcel],
        replace: bool,
        mut each: impl FnMut(usize, Result<(), String>),
    ) -> Result<(), TargetError> {
        // One after another in groups, so that neither side has to hold all at once.
        const GROUP: usize = 1 << 20;
        let mut answered = 0;
        while answered < parcels.len() {
            let mut bytes = Vec::new();
            let mut sent = answered;
            while sent < parcels.len() && bytes.len() < GROUP {
                let parcel = &parcels[sent];
                let ttl = parcel.ttl_ms.to_string();
                let words: [&[u8]; 5] = [
                    if self.asking {
                        b"RESTORE-ASKING"
                    } else {
                        b"RESTORE"
                    },
                    &parcel.key,
                    ttl.as_bytes(),
                    &parcel.payload,
                    b"REPLACE",
                ];
                encode_command(&mut bytes, if replace { &words[..] } else { &words[..4] });
                sent += 1;
            }
            self.write(&bytes).await?;
            for i in answered..sent {
                each(i, self.reply().await?);
            }
            answered = sent;
        }
        Ok(())
    }

    /// Deletes keys that are no more at their origin.
    pub async fn delete(&mut self, keys: &[Box<[u8]>]) -> Result<(), TargetError> {
        let mut bytes = Vec::new();
        for key in keys {
            if self.asking {
                encode_command(&mut bytes, &[b"ASKING"]);
            }
            encode_command(&mut bytes, &[b"DEL", key]);
        }
        self.write(&bytes).await?;
        for _ in 0..keys.len() * (1 + usize::from(self.asking)) {
            self.reply().await?.map_err(TargetError::Refused)?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), TargetError> {
        for part in bytes.chunks(64 << 10) {
            match timeout(self.patience, self.stream.write_all(part)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(TargetError::Write),
            }
        }
        Ok(())
    }

    /// The next reply, a line: an error's text, or nothing.
    async fn reply(&mut self) -> Result<Result<(), String>, TargetError> {
        let line = match timeout(self.patience, self.line()).await {
            Ok(Ok(line)) => line,
            Ok(Err(_)) | Err(_) => return Err(TargetError::Read),
        };
        Ok(match line.strip_prefix(b"-") {
            Some(error) => Err(String::from_utf8_lossy(error).into_owned()),
            None => Ok(()),
        })
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let input = &self.input[self.taken..];
            if let Some(end) = input.iter().position(|&b| b == b'\n') {
                let line = &input[..end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.taken += end + 1;
                return Ok(line);
            }
            if input.len() > MAX_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.input.drain(..self.taken);
            self.taken = 0;
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
