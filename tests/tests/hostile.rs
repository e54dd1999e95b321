//! Clients that mean no good, or know no better: others must not notice, and memory must stay bounded.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use holdfast_tests::ask::number;
use holdfast_tests::reply::{Reply, encode_command};
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::{time_until, wait_until};
use holdfast_tests::words::quote;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const MEGABYTE: u64 = 1024 * 1024;
/// What another client may have to wait while someone misbehaves.
const UNHARMED: Duration = Duration::from_secs(90);

/// These tests fill memory, sockets and cores: one at a time, so that none takes another's load for the server's fault.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Another client works as ever.
fn unharmed(server: &Server) -> Result<()> {
    let start = Instant::now();
    let mut client = server.connect()?;
    client.set_timeout(UNHARMED);
    anyhow::ensure!(client.command("SET other:{x} works")?.text() == Some("OK"));
    anyhow::ensure!(client.command("GET other:{x}")?.text() == Some("works"));
    anyhow::ensure!(
        start.elapsed() < UNHARMED,
        "another client waited {:?}",
        start.elapsed()
    );
    Ok(())
}

/// Allows as many open files as the system lets this process have.
fn raise_file_limit() -> Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// The greatest resident set so far, in bytes.
fn peak_bytes(server: &Server) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .context("no VmHWM")?;
    Ok(line
        .split_whitespace()
        .nth(1)
        .context("no number")?
        .parse::<u64>()?
        * 1024)
}

#[test]
fn ten_thousand_idle_clients() -> Result<()> {
    let _alone = alone();
    const WANTED: u64 = 10_000;
    const SPARE: u64 = 300;
    const BYTES_PER_CLIENT: u64 = 48 * 1024;
    let limit = raise_file_limit()?;
    let count = WANTED.min(limit.saturating_sub(SPARE));
    if count < WANTED {
        println!("only {count} idle clients: the hard limit of open files is {limit}");
    }
    let options = Options::new()
        .threads(2)
        .directive("maxclients", &(count + 100).to_string());
    let server = Server::start(Role::Subject, &options)?;
    let before = server.resident_bytes()?;
    let mut idle = Vec::new();
    for number in 0..count {
        let mut stream =
            TcpStream::connect(server.address()).with_context(|| format!("connection {number}"))?;
        stream.write_all(b"PING\r\n")?;
        idle.push(stream);
    }
    for (number, stream) in idle.iter_mut().enumerate() {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut pong = [0; 7];
        stream
            .read_exact(&mut pong)
            .with_context(|| format!("idle client {number}"))?;
        assert_eq!(&pong, b"+PONG\r\n");
    }
    let mut control = server.connect()?;
    assert!(number(&mut control, "clients", "connected_clients")? > count);
    unharmed(&server)?;
    let grown = server.resident_bytes()?.saturating_sub(before);
    println!("{count} idle clients take {} bytes each", grown / count);
    assert!(
        grown < count * BYTES_PER_CLIENT,
        "{count} idle clients take {} MB",
        grown / MEGABYTE
    );
    drop(idle);
    wait_until("clients that are gone are not counted any more", || {
        Ok(number(&mut control, "clients", "connected_clients")? <= 1)
    })
}

#[test]
fn one_client_too_many_is_told_so() -> Result<()> {
    let _alone = alone();
    let mut refusals = Vec::new();
    for role in [Role::Subject, Role::Oracle] {
        let server = Server::start(role, &Options::new().threads(2).directive("maxclients", "10"))?;
        let mut clients = (0..10).map(|_| server.connect()).collect::<Result<Vec<_>>>()?;
        for client in &mut clients {
            client.command("PING")?;
        }
        refusals.push(server.connect()?.drain(UNHARMED)?);
        // One leaves, one may come.
        clients.pop();
        wait_until("the place that became free is given away", || {
            Ok(server.connect()?.command("PING").is_ok())
        })?;
    }
    assert_eq!(quote(&refusals[0].0), quote(&refusals[1].0));
    assert!(refusals[0].1, "the connection stays open");
    Ok(())
}

#[test]
fn a_thousand_slow_readers() -> Result<()> {
    let _alone = alone();
    const READERS: usize = 1000;
    const VALUE: usize = 256 * 1024;
    const GETS: usize = 64;
    const BOUND: u64 = 2048 * MEGABYTE;
    raise_file_limit()?;
    // 16 MB for each of a thousand clients would be 16 GB; what they may hold is 1 MB each.
    let options = Options::new()
        .threads(2)
        .directive("client-output-buffer-limit", "normal 1mb 0 0");
    let server = Server::start(Role::Subject, &options)?;
    let mut control = server.connect()?;
    control.call(&[&b"SET"[..], b"big", &vec![b'x'; VALUE]])?;
    let mut request = Vec::new();
    for _ in 0..GETS {
        encode_command(&["GET", "big"], &mut request);
    }
    let mut readers = Vec::new();
    for number in 0..READERS {
        let mut stream = TcpStream::connect(server.address())?;
        // The server may have cut this one off already when the write comes to an end.
        let _ = stream.write_all(&request);
        readers.push(stream);
        if number % 100 == 0 {
            unharmed(&server)?;
        }
    }
    unharmed(&server)?;
    let peak = peak_bytes(&server)?;
    println!(
        "1,000 slow readers: the resident set reached {} MB",
        peak / MEGABYTE
    );
    assert!(peak < BOUND, "the resident set reached {} MB", peak / MEGABYTE);
    // All are cut off or held back: what is read from any of them ends, with whole replies or in the midst of one.
    drop(readers);
    unharmed(&server)
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_off() -> Result<()> {
    let _alone = alone();
    let options = Options::new()
        .threads(2)
        .directive("client-output-buffer-limit", "pubsub 1mb 0 0");
    let server = Server::start(Role::Subject, &options)?;
    let mut slow = server.connect()?;
    slow.command("SUBSCRIBE news")?;
    let mut publisher = server.connect()?;
    let message = vec![b'm'; 100 * 1024];
    // One message after the other, as fast as it takes them.
    time_until("the subscriber is cut off", || {
        let reached = publisher.call(&[&b"PUBLISH"[..], b"news", &message])?;
        Ok(reached.integer() != Some(1))
    })?;
    assert!(peak_bytes(&server)? < 300 * MEGABYTE);
    unharmed(&server)
}

#[test]
fn unfinished_frames_harm_nobody() -> Result<()> {
    let _alone = alone();
    let server = Server::start(Role::Subject, &Options::new().threads(2))?;
    let whole = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n";
    let mut held = Vec::new();
    for cut in 1..whole.len() {
        let mut stream = TcpStream::connect(server.address())?;
        stream.write_all(&whole[..cut])?;
        if cut % 3 == 0 {
            stream.shutdown(Shutdown::Write)?;
        }
        if cut % 2 == 0 {
            held.push((stream, cut));
        }
    }
    unharmed(&server)?;
    assert_eq!(
        server.connect()?.command("EXISTS key")?,
        Reply::Integer(0),
        "an unfinished SET was executed"
    );
    // Those that were not closed may still finish their frame, byte by byte.
    for (stream, cut) in held.iter_mut().filter(|(_, cut)| cut % 3 != 0) {
        for byte in &whole[*cut..] {
            stream.write_all(&[*byte])?;
        }
        stream.set_read_timeout(Some(UNHARMED))?;
        let mut reply = [0; 5];
        stream.read_exact(&mut reply)?;
        assert_eq!(&reply, b"+OK\r\n", "cut at {cut}");
    }
    unharmed(&server)
}

#[test]
fn garbage_harms_nobody() -> Result<()> {
    let _alone = alone();
    let server = Server::start(Role::Subject, &Options::new().threads(2))?;
    let mut random = SmallRng::seed_from_u64(1);
    let pieces: [&[u8]; 14] = [
        b"*",
        b"$",
        b"\r\n",
        b"-1",
        b"3",
        b"GET",
        b"*2\r\n$3\r\nGET\r\n",
        b"$1\r\nk\r\n",
        b"\0",
        b"\"",
        b"99999999999",
        b"\xff\xfe",
        b" ",
        b"*1\r\n$4\r\nPING\r\n",
    ];
    for _ in 0..400 {
        let mut stream = TcpStream::connect(server.address())?;
        let mut garbage = Vec::new();
        for _ in 0..random.random_range(1..60) {
            if random.random_bool(0.3) {
                garbage.push(random.random());
            } else {
                garbage.extend_from_slice(pieces[random.random_range(0..pieces.len())]);
            }
        }
        // The server may hang up in the midst of it.
        let _ = stream.write_all(&garbage);
    }
    unharmed(&server)
}

#[test]
fn a_client_that_leaves_in_the_midst_of_a_reply() -> Result<()> {
    let _alone = alone();
    let server = Server::start(Role::Subject, &Options::new().threads(2))?;
    server
        .connect()?
        .call(&[&b"SET"[..], b"big", &vec![b'x'; 8 * 1024 * 1024]])?;
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.address())?;
        stream.write_all(b"GET big\r\nGET big\r\nGET big\r\n")?;
        stream.read_exact(&mut [0; 100])?;
    }
    unharmed(&server)
}

#[test]
fn a_million_commands_before_the_first_reply_is_read() -> Result<()> {
    let _alone = alone();
    const COMMANDS: usize = 1_000_000;
    let server = Server::start(Role::Subject, &Options::new().threads(2))?;
    let mut stream = TcpStream::connect(server.address())?;
    let mut reading = stream.try_clone()?;
    let writer = std::thread::spawn(move || -> std::io::Result<()> {
        let batch = b"*1\r\n$4\r\nPING\r\n".repeat(1000);
        for _ in 0..COMMANDS / 1000 {
            stream.write_all(&batch)?;
        }
        Ok(())
    });
    reading.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut left = COMMANDS * 7;
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let count = reading.read(&mut buffer)?;
        assert!(count > 0, "closed with {left} bytes to come");
        left -= count;
    }
    writer.join().expect("the writer does not panic")?;
    unharmed(&server)
}

#[test]
fn an_argument_of_512_megabytes() -> Result<()> {
    let _alone = alone();
    const LENGTH: usize = 512 * 1024 * 1024;
    const CHUNK: usize = 1024 * 1024;
    let server = Server::start(Role::Subject, &Options::new().threads(2))?;
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    stream.write_all(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${LENGTH}\r\n").as_bytes())?;
    for number in 0..LENGTH / CHUNK {
        stream.write_all(&vec![b'a' + (number % 26) as u8; CHUNK])?;
        if number % 64 == 0 {
            unharmed(&server)?;
        }
    }
    stream.write_all(b"\r\n")?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)?;
    assert_eq!(&reply, b"+OK\r\n");
    let after_set = peak_bytes(&server)?;
    println!(
        "SET of 512 MB: the resident set reached {} MB",
        after_set / MEGABYTE
    );
    assert!(
        after_set < 1280 * MEGABYTE,
        "SET took {} MB",
        after_set / MEGABYTE
    );

    let mut client = server.connect()?;
    assert_eq!(client.command("STRLEN big")?, Reply::Integer(LENGTH as i64));
    for number in [0, 1, 255, 511] {
        let at = number * CHUNK;
        let letter = String::from(char::from(b'a' + (number % 26) as u8));
        assert_eq!(
            client.command(&format!("GETRANGE big {at} {at}"))?.text(),
            Some(letter.as_str())
        );
    }
    read_big_reply(&mut stream, LENGTH)?;
    let after_get = peak_bytes(&server)?;
    println!(
        "GET of 512 MB: the resident set reached {} MB",
        after_get / MEGABYTE
    );
    assert!(
        after_get < 1792 * MEGABYTE,
        "GET took {} MB",
        after_get / MEGABYTE
    );
    // One byte more than the limit is refused.
    let appended = client.command("APPEND big x")?;
    assert!(appended.is_error(), "{appended:?}");
    unharmed(&server)
}

fn read_big_reply(stream: &mut TcpStream, length: usize) -> Result<()> {
    stream.write_all(b"GET big\r\n")?;
    let head = format!("${length}\r\n");
    let mut left = head.len() + length + 2;
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let count = stream.read(&mut buffer)?;
        anyhow::ensure!(count > 0, "closed with {left} bytes to come");
        anyhow::ensure!(count <= left, "{} bytes too many", count - left);
        left -= count;
    }
    Ok(())
}

#[test]
fn a_key_of_one_megabyte() -> Result<()> {
    let _alone = alone();
    let server = Server::start(Role::Subject, &Options::new().threads(2))?;
    let mut client = server.connect()?;
    let key = vec![b'k'; MEGABYTE as usize];
    let other = vec![b'o'; MEGABYTE as usize];
    assert_eq!(client.call(&[&b"SET"[..], &key, b"v"])?.text(), Some("OK"));
    assert_eq!(client.call(&[&b"GET"[..], &key])?.text(), Some("v"));
    assert_eq!(client.call(&[&b"RENAME"[..], &key, &other])?.text(), Some("OK"));
    assert_eq!(client.call(&[&b"EXISTS"[..], &key, &other])?, Reply::Integer(1));
    assert_eq!(
        client.command("RANDOMKEY")?.bytes().map(<[u8]>::len),
        Some(MEGABYTE as usize)
    );
    assert_eq!(
        client.call(&[&b"HSET"[..], b"h", &key, &other])?,
        Reply::Integer(1)
    );
    assert_eq!(
        client.call(&[&b"HSTRLEN"[..], b"h", &key])?,
        Reply::Integer(MEGABYTE as i64)
    );
    assert_eq!(client.call(&[&b"DEL"[..], &other, b"h"])?, Reply::Integer(2));
    unharmed(&server)
}

#[test]
fn a_query_buffer_has_its_limit() -> Result<()> {
    let _alone = alone();
    let options = Options::new()
        .threads(2)
        .directive("client-query-buffer-limit", "1mb");
    let server = Server::start(Role::Subject, &options)?;
    let mut greedy = server.connect()?;
    // A promise of 400 MB, of which 64 are sent: the client is cut off after one.
    let mut outcome = greedy.send_raw(b"*2\r\n$4\r\nECHO\r\n$400000000\r\n");
    for _ in 0..64 {
        if outcome.is_err() {
            break;
        }
        outcome = greedy.send_raw(&vec![b'x'; MEGABYTE as usize]);
    }
    let (_, closed) = greedy.drain(Duration::from_secs(10))?;
    assert!(closed || outcome.is_err(), "the client may send on and on");
    assert!(peak_bytes(&server)? < 200 * MEGABYTE);
    unharmed(&server)
}

/// Frames that break the protocol or come close. Each is followed by a PING, whose PONG shows that the connection
/// survived; the replies must be those of `redis-server`, byte by byte.
fn odd_frames() -> Vec<Vec<u8>> {
    let mut frames: Vec<Vec<u8>> = [
        &b"*0\r\n"[..],
        b"*-1\r\n",
        b"*-5\r\n",
        b"\r\n",
        b"   \r\n",
        b"*\r\n",
        b"*abc\r\n",
        b"*2147483648\r\n",
        b"*99999999999999999999\r\n",
        b"*+1\r\n$4\r\nPING\r\n",
        b"*1 \r\n",
        b"*1\r\n:5\r\n",
        b"*1\r\n\r\n",
        b"*1\r\n$abc\r\n",
        b"*1\r\n$\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$-2\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$99999999999999999999\r\n",
        b"*2\r\n$4\r\nPING\r\n+x\r\n",
        b"*1\r\n$0\r\n\r\n",
        b"*1\r\n$04\r\nPING\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-1\r\n",
        b"PING\n",
        b"ping\r\n",
        b"  ECHO   \"a b\"  \r\n",
        b"ECHO 'a\r\n",
        b"ECHO \"a\r\n",
        b"ECHO \"a\"b\r\n",
        b"ECHO 'a'b\r\n",
        b"ECHO \"\\x41\\n\\t\\q\"\r\n",
        b"ECHO '\\''\r\n",
        b"ECHO \"\\xzz\"\r\n",
        b" *1\r\n",
        b"ECHO a\0b\r\n",
        b"\0\r\n",
        b"$4\r\n",
        b"+OK\r\n",
        b":1\r\n",
        b"!\r\n",
        b"POST / HTTP/1.1\r\n",
        b"Host: localhost\r\n",
        b"host: localhost\r\n",
        b"GET / HTTP/1.1\r\n",
        b"NOSUCH a b\r\n",
        b"GET\r\n",
        b"QUIT\r\n",
        b"quit\r\nPING\r\n",
        b"ECHO a\rb\r\n",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    frames.push(vec![b'a'; 70_000]);
    frames.push([b"*".to_vec(), vec![b'1'; 70_000]].concat());
    frames.push([b"*1\r\n$".to_vec(), vec![b'1'; 70_000]].concat());
    frames.push([b"ECHO ".to_vec(), vec![b'a'; 60_000], b"\r\n".to_vec()].concat());
    frames.push([b"NOSUCH ".to_vec(), vec![b'a'; 300], b"\r\n".to_vec()].concat());
    frames
}

#[test]
fn odd_frames_get_the_replies_of_redis() -> Result<()> {
    let _alone = alone();
    same_replies(&odd_frames(), &[])
}

#[test]
fn strangers_get_the_replies_of_redis() -> Result<()> {
    let _alone = alone();
    let frames = [
        &b"*11\r\n"[..],
        b"*10\r\n$4\r\nPING\r\n",
        b"*1\r\n$16385\r\n",
        b"*1\r\n$16384\r\n",
        b"GET k\r\n",
        b"AUTH wrong\r\n",
        b"AUTH secret\r\n*11\r\n",
        b"AUTH default secret\r\n",
        b"AUTH nobody secret\r\n",
        b"HELLO 3\r\n",
        b"RESET\r\n",
        b"HELLO 2 AUTH default wrong\r\n",
        b"AUTH\r\n",
        b"AUTH a b c\r\n",
        b"QUIT\r\n",
        b"NOSUCH\r\n",
        b"MULTI\r\n",
    ];
    same_replies(&frames.map(<[u8]>::to_vec), &[("requirepass", "secret")])
}

/// Frames to which the server answers otherwise on purpose, and why.
const EXPLAINED: &[(&[u8], &str)] = &[
    (
        b"ECHO a\0b\r\n",
        "redis-server does not look for the end of a line behind a zero byte, and waits for ever",
    ),
    (
        b"\0\r\n",
        "redis-server does not look for the end of a line behind a zero byte, and waits for ever",
    ),
];

fn same_replies(frames: &[Vec<u8>], directives: &[(&str, &str)]) -> Result<()> {
    let options = directives
        .iter()
        .fold(Options::new().threads(2), |options, (name, value)| {
            options.directive(name, value)
        });
    let subject = Server::start(Role::Subject, &options)?;
    let oracle = Server::start(Role::Oracle, &options)?;
    let mut differing = Vec::new();
    for frame in frames {
        let (left, right) = (answer(&subject, frame)?, answer(&oracle, frame)?);
        let explained = EXPLAINED.iter().any(|(explained, _)| explained == frame);
        if left != right && !explained {
            differing.push(format!(
                "{}\n  subject {left}\n  oracle  {right}",
                quote(&frame[..frame.len().min(100)])
            ));
        }
    }
    assert!(
        differing.is_empty(),
        "{} frames differ:\n{}",
        differing.len(),
        differing.join("\n")
    );
    // Not `unharmed`: with a password nobody else may do anything either.
    subject.connect()?.command("PING")?;
    Ok(())
}

/// All that comes back until the server closes the connection: at the latest because this end has nothing more to say.
fn answer(server: &Server, frame: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(server.address())?;
    let mut bytes = frame.to_vec();
    // A frame whose line never ends would swallow the PING.
    if frame.ends_with(b"\n") {
        bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    }
    // Either may fail when the server hangs up at once.
    let _ = stream.write_all(&bytes);
    let _ = stream.shutdown(Shutdown::Write);
    stream.set_read_timeout(Some(UNHARMED))?;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(quote(&received)),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(quote(&received)),
            Err(_) => return Ok(format!("{} (and stays open)", quote(&received))),
        }
    }
}
