//! Compares the decoder with a real `redis-server` over streams that mix valid and broken commands: the server
//! quotes the arguments of an unknown command, so its replies show what it read. Ignored by default; run with
//! `cargo test -p holdfast-resp --test oracle -- --ignored`.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use holdfast_resp::{CommandDecoder, DecodeLimits, DecodeScratch, Frame, Proto, Reply};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// The server, killed when dropped.
struct Redis {
    child: Child,
    dir: PathBuf,
}

impl Redis {
    fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("holdfast-resp-oracle-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder for the socket");
        let mut child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "socket", "--dir"])
            .arg(&dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed");
        let log = BufReader::new(child.stdout.take().expect("piped"));
        let ready = log
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("eady to accept connections"));
        assert!(ready, "redis-server ended before it was ready");
        Self { child, dir }
    }

    /// All that the server answers to `stream` on a connection of its own.
    fn answer(socket: &Path, stream: &[u8]) -> Vec<u8> {
        let mut connection = UnixStream::connect(socket).expect("the server listens");
        let mut replies = Vec::new();
        // The server may close before it has read everything.
        let sent = connection
            .write_all(stream)
            .and_then(|()| connection.shutdown(Shutdown::Write));
        match sent.and_then(|()| connection.read_to_end(&mut replies).map(|_| ())) {
            Err(error) if !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                panic!("{error}")
            }
            Ok(()) | Err(_) => replies,
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What a server without any command answers to `stream`.
fn expected(mut stream: &[u8]) -> Vec<u8> {
    let (mut decoder, mut scratch) = (CommandDecoder::new(), DecodeScratch::new());
    let mut reply = Reply::new(Vec::new(), Proto::Resp2);
    loop {
        match decoder.next(&mut stream, &mut scratch, &DecodeLimits::default()) {
            Ok(Some(frame)) => reply.error_bytes(&unknown(frame)),
            Ok(None) => break,
            Err(error) => {
                error.write_reply(&mut reply);
                break;
            }
        }
    }
    reply.into_inner()
}

fn unknown(frame: Frame<'_>) -> Vec<u8> {
    let mut text = [
        b"ERR unknown command '",
        frame.name(),
        b"', with args beginning with: ",
    ]
    .concat();
    for arg in frame.iter().skip(1) {
        text.extend_from_slice(&[b"'", arg, b"' "].concat());
    }
    text
}

/// A few pieces of a stream; the words are no command's name and short enough to be quoted in full.
fn stream(rng: &mut SmallRng) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..rng.random_range(1..6) {
        match rng.random_range(0..4) {
            0 => {
                let args = rng.random_range(1..5);
                out.extend_from_slice(format!("*{args}\r\n").as_bytes());
                for _ in 0..args {
                    let arg = text(rng, b"zq \r\n*$\"'\\\xff", 12);
                    out.extend_from_slice(
                        &[format!("${}\r\n", arg.len()).as_bytes(), &arg, b"\r\n"].concat(),
                    );
                }
            }
            1 => {
                out.extend_from_slice(b"zz ");
                out.extend_from_slice(&text(rng, b"zq  \t\x0b\r\"\"''\\\\x41nrtba", 24));
                out.extend_from_slice(if rng.random() { b"\r\n" } else { b"\n" });
            }
            2 => out.extend_from_slice(&[b"*", &text(rng, b"01129-+ a", 3)[..], b"\r\n"].concat()),
            _ => {
                let pieces: [&[u8]; 10] = [
                    b"\r\n",
                    b"\n",
                    b"*0\r\n",
                    b"*-1\r\n",
                    b"*1\r\n",
                    b"$2\r\nzz\r\n",
                    b"$",
                    b"*1\rx$2\ryzzab",
                    b" \r\n",
                    b"$02\r\n",
                ];
                out.extend_from_slice(pieces[rng.random_range(0..pieces.len())]);
            }
        }
    }
    out
}

fn text(rng: &mut SmallRng, alphabet: &[u8], max_len: usize) -> Vec<u8> {
    let len = rng.random_range(0..=max_len);
    (0..len)
        .map(|_| alphabet[rng.random_range(0..alphabet.len())])
        .collect()
}

#[test]
#[ignore = "needs redis-server"]
fn the_same_commands_and_errors_as_redis() {
    let redis = Redis::start();
    let socket = redis.dir.join("socket");
    let mut rng = SmallRng::seed_from_u64(7);
    for _ in 0..5000 {
        let stream = stream(&mut rng);
        let (ours, theirs) = (expected(&stream), Redis::answer(&socket, &stream));
        assert_eq!(
            ours.escape_ascii().to_string(),
            theirs.escape_ascii().to_string(),
            "{}",
            stream.escape_ascii()
        );
    }
}
