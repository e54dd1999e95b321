//! `healthcheck`: asks a running server whether it serves, for a container's HEALTHCHECK.
//!
//! Must not know: passwords. A server that wants one is alive.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::cli::Healthcheck;

/// An answer is a line; who sends more is no server of ours.
const LONGEST: usize = 1024;

/// Asks. True: it serves.
///
/// # Errors
/// It cannot be reached, does not answer in time, or is still loading: the text says which.
pub fn run(options: &Healthcheck, out: &mut dyn Write) -> Result<bool, String> {
    let line = ask(options).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer from {}:{} in time", options.host, options.port)
        }
        _ => format!("{}:{}: {error}", options.host, options.port), // says enough by itself
    })?;
    writeln!(out, "{line}").map_err(|e| e.to_string())?;
    Ok(serves(&line))
}

fn ask(options: &Healthcheck) -> io::Result<String> {
    let patience = Duration::from_millis(options.timeout_ms);
    let deadline = Instant::now() + patience;
    let left = || {
        deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1))
    };
    let mut failed = io::Error::new(io::ErrorKind::AddrNotAvailable, "no such host");
    for address in (options.host.as_str(), options.port).to_socket_addrs()? {
        let mut stream = match TcpStream::connect_timeout(&address, left()) {
            Ok(stream) => stream,
            Err(error) => {
                failed = error;
                continue;
            }
        };
        stream.set_write_timeout(Some(left()))?;
        stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") && line.len() < LONGEST {
            stream.set_read_timeout(Some(left()))?;
            let mut byte = [0];
            if stream.read(&mut byte)? == 0 {
                break;
            }
            line.push(byte[0]);
        }
        return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
    Err(failed)
}

/// Errors that a server gives which serves others: it wants a password, its user may do little, it is a replica without its
/// primary, or a script runs for long.
fn serves(line: &str) -> bool {
    line == "+PONG"
        || ["-NOAUTH", "-NOPERM", "-MASTERDOWN", "-BUSY", "-WRONGPASS"]
            .iter()
            .any(|word| line.starts_with(word))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn asked(answer: &'static [u8]) -> Result<bool, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 14];
            stream.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"*1\r\n$4\r\nPING\r\n");
            stream.write_all(answer).unwrap();
        });
        let options = Healthcheck {
            host: "127.0.0.1".into(),
            port,
            timeout_ms: 10_000,
        };
        let result = run(&options, &mut Vec::new());
        server.join().unwrap();
        result
    }

    #[test]
    fn tells_who_serves() {
        assert_eq!(asked(b"+PONG\r\n"), Ok(true));
        assert_eq!(asked(b"-NOAUTH Authentication required.\r\n"), Ok(true));
        assert_eq!(
            asked(b"-LOADING Redis is loading the dataset in memory\r\n"),
            Ok(false)
        );
        assert_eq!(asked(b"HTTP/1.1 400 Bad Request\r\n"), Ok(false));
        assert_eq!(asked(b""), Ok(false));
        assert_eq!(asked(&[b'x'; 5000]), Ok(false));
    }

    #[test]
    fn says_who_cannot_be_reached() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let options = Healthcheck {
            host: "127.0.0.1".into(),
            port,
            timeout_ms: 1000,
        };
        let text = run(&options, &mut Vec::new()).unwrap_err();
        assert!(text.starts_with(&format!("127.0.0.1:{port}: ")), "{text}");
    }
}
