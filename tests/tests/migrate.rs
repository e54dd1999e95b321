//! MIGRATE between servers of both kinds, and what happens to keys that change while they travel.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result};
use holdfast_tests::ask;
use holdfast_tests::client::Client;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};

fn text(client: &mut Client, line: &str) -> Result<String> {
    Ok(ask::text(client, line)?.replace("   ", " "))
}

/// The same commands at a server, with another as the target: what is answered.
fn answers(from: &Server, to: &Server) -> Result<Vec<(String, String)>> {
    // A new one each time: Redis keeps its connections, authenticated as they are.
    let locked = Server::start(Role::Oracle, &Options::new().directive("requirepass", "sesame"))?;
    let (mut f, mut t) = (from.connect()?, to.connect()?);
    let (target, guarded) = (to.address().port(), locked.address().port());
    t.command("FLUSHALL")?;
    f.command("MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7")?;
    f.command("PEXPIRE d 100000")?;
    let mut seen = Vec::new();
    for line in [
        "MIGRATE 127.0.0.1 PORT missing 0 1000",
        "MIGRATE 127.0.0.1 PORT missing x 1000",
        "MIGRATE 127.0.0.1 PORT missing 0 x",
        "MIGRATE 127.0.0.1 x missing 0 1000",
        "MIGRATE 127.0.0.1 PORT a 0",
        "MIGRATE 127.0.0.1 PORT a 0 1000 FOO",
        "MIGRATE 127.0.0.1 PORT a 0 1000 AUTH",
        "MIGRATE 127.0.0.1 PORT a 0 1000 AUTH2 x",
        "MIGRATE 127.0.0.1 PORT a 0 1000 KEYS b",
        "MIGRATE 127.0.0.1 PORT \"\" 0 1000 KEYS",
        "MIGRATE 127.0.0.1 PORT \"\" 0 1000",
        "MIGRATE 127.0.0.1 PORT \"\" 0 1000 KEYS none missing",
        "MIGRATE 127.0.0.1 PORT a 0 1000 COPY",
        "EXISTS a",
        "MIGRATE 127.0.0.1 PORT a 0 0",
        "MIGRATE 127.0.0.1 PORT a 0 1000 replace",
        "EXISTS a",
        "MIGRATE 127.0.0.1 PORT \"\" 2 1000 KEYS b missing d",
        "EXISTS b d",
        "MIGRATE 127.0.0.1 PORT c 9999 1000",
        "MIGRATE 127.0.0.1 GUARDED c 0 1000",
        "MIGRATE 127.0.0.1 GUARDED c 0 1000 AUTH wrong",
        "MIGRATE 127.0.0.1 GUARDED c 0 1000 AUTH2 nobody sesame",
        "EXISTS c",
        "MIGRATE 127.0.0.1 GUARDED c 0 1000 AUTH sesame REPLACE",
        "MIGRATE 127.0.0.1 GUARDED e 0 1000 AUTH2 default sesame REPLACE",
        "EXISTS c e",
        "MIGRATE 127.0.0.1 1 f 0 1000",
        "MIGRATE nosuch.invalid 6379 f 0 1000",
        "MULTI",
        "MIGRATE 127.0.0.1 PORT f 0 1000",
        "EXISTS f",
        "MIGRATE 127.0.0.1 PORT f 0 1000",
        "EXEC",
        "DBSIZE",
    ] {
        let asked = line
            .replace("PORT", &target.to_string())
            .replace("GUARDED", &guarded.to_string());
        seen.push((line.to_owned(), text(&mut f, &asked)?));
    }
    seen.push(("target".into(), text(&mut t, "MGET a f")?));
    t.command("SELECT 2")?;
    seen.push(("target".into(), text(&mut t, "MGET b d")?));
    let ttl = t.command("PTTL d")?.integer().context("a number")?;
    assert!((1..=100_000).contains(&ttl), "{ttl}");
    Ok(seen)
}

#[test]
fn keys_move_between_servers_of_both_kinds() -> Result<()> {
    let (subject, oracle) = (Server::subject()?, Server::oracle()?);
    let expected = answers(&oracle, &Server::oracle()?)?;
    assert_eq!(answers(&subject, &oracle)?, expected);
    subject.connect()?.command("FLUSHALL")?;
    oracle.connect()?.command("FLUSHALL")?;
    assert_eq!(answers(&oracle, &subject)?, expected);
    Ok(())
}

/// A target in the hands of the test.
struct Puppet {
    listener: TcpListener,
    stream: Option<BufReader<TcpStream>>,
}

impl Puppet {
    fn new() -> Result<Self> {
        Ok(Self {
            listener: TcpListener::bind("127.0.0.1:0")?,
            stream: None,
        })
    }

    fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// The next command's words, payloads cut short.
    fn command(&mut self) -> Result<Vec<String>> {
        if self.stream.is_none() {
            self.stream = Some(BufReader::new(self.listener.accept()?.0));
        }
        let stream = self.stream.as_mut().context("accepted")?;
        let mut number = |mark: char| -> Result<usize> {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            Ok(line.trim().strip_prefix(mark).context("a header")?.parse()?)
        };
        let count = number('*')?;
        let mut words = Vec::new();
        for _ in 0..count {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let len: usize = line.trim().strip_prefix('$').context("a length")?.parse()?;
            let mut word = vec![0; len + 2];
            stream.read_exact(&mut word)?;
            words.push(word[..len].escape_ascii().to_string());
        }
        Ok(words)
    }

    fn answer(&mut self, line: &str) -> Result<()> {
        let stream = self.stream.as_mut().context("accepted")?;
        Ok(stream.get_mut().write_all(format!("{line}\r\n").as_bytes())?)
    }

    fn greet(&mut self) -> Result<()> {
        assert_eq!(self.command()?, ["SELECT", "0"]);
        self.answer("+OK")
    }
}

#[test]
fn what_changes_on_the_way_is_sent_again() -> Result<()> {
    let server = Server::subject()?;
    let (mut mover, mut other) = (server.connect()?, server.connect()?);
    let mut puppet = Puppet::new()?;
    other.command("MSET kept 1 changed 1 deleted 1 unrelated 1")?;
    let port = puppet.port()?.to_string();
    mover.send(&[
        "MIGRATE",
        "127.0.0.1",
        &port,
        "",
        "0",
        "60000",
        "KEYS",
        "kept",
        "changed",
        "deleted",
    ])?;
    puppet.greet()?;
    for key in ["kept", "changed", "deleted"] {
        let words = puppet.command()?;
        assert_eq!(
            (&words[..3], words.len()),
            (&["RESTORE".into(), key.into(), "0".into()][..], 4)
        );
    }
    // Others work while the keys are on their way.
    assert_eq!(other.command("INCR changed")?.integer(), Some(2));
    assert_eq!(other.command("DEL deleted")?.integer(), Some(1));
    assert_eq!(other.command("SET unrelated 2")?, Reply::ok());
    (0..3).try_for_each(|_| puppet.answer("+OK"))?;
    assert_eq!(puppet.command()?, ["DEL", "deleted"]);
    puppet.answer(":1")?;
    let words = puppet.command()?;
    assert_eq!((&words[1][..], &words[4][..]), ("changed", "REPLACE"));
    assert!(
        words[3].starts_with("\\x00\\xc0\\x02"),
        "the new value: {}",
        words[3]
    );
    puppet.answer("+OK")?;
    assert_eq!(mover.receive()?, Reply::ok());
    assert_eq!(text(&mut other, "EXISTS kept changed deleted")?, ":0");
    assert_eq!(text(&mut other, "GET unrelated")?, "\"2\"");
    Ok(())
}

#[test]
fn a_target_that_fails_costs_nothing() -> Result<()> {
    let server = Server::subject()?;
    let mut client = server.connect()?;
    client.command("MSET a 1 b 2 c 3")?;
    let mut puppet = Puppet::new()?;
    let port = puppet.port()?.to_string();
    client.send(&[
        "MIGRATE",
        "127.0.0.1",
        &port,
        "",
        "0",
        "60000",
        "KEYS",
        "a",
        "b",
        "c",
    ])?;
    puppet.greet()?;
    (0..3).try_for_each(|_| puppet.command().map(drop))?;
    puppet.answer("+OK")?;
    puppet.answer("-BUSYKEY Target key name already exists.")?;
    puppet.stream = None; // the third is not answered
    let reply = client.receive()?;
    assert_eq!(
        reply,
        Reply::Error(
            "ERR Target instance replied with error: BUSYKEY Target key name already exists.".into()
        )
    );
    assert_eq!(text(&mut client, "MGET a b c")?, "*3 (nil) \"2\" \"3\"");
    // One that says nothing.
    let silent = Puppet::new()?;
    let port = silent.port()?.to_string();
    let reply = client.command(&format!("MIGRATE 127.0.0.1 {port} b 0 50"))?;
    assert_eq!(
        reply,
        Reply::Error("IOERR error or timeout reading from target instance".into())
    );
    assert_eq!(text(&mut client, "MGET a b c")?, "*3 (nil) \"2\" \"3\"");
    Ok(())
}
