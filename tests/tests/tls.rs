//! TLS: real clients, certificates that are made here, wrong certificates, changes while the server runs.

mod authority;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use authority::Authority;
use holdfast_tests::ports::free_port;
use holdfast_tests::replication::{assert_same, cut_link};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server, tool};
use holdfast_tests::wait::wait_until;

const REMEDY: &str = "apt-get install redis-tools";

/// A server with the certificate `server` of the authority.
fn with_tls(authority: &Authority, port: u16) -> Options {
    let path = |name: &str| authority.path(name).to_string_lossy().into_owned();
    Options::new()
        .directive("tls-port", &port.to_string())
        .directive("tls-cert-file", &path("server.crt"))
        .directive("tls-key-file", &path("server.key"))
        .directive("tls-ca-cert-file", &path("ca.crt"))
}

/// `redis-cli --tls`; with the certificate `client`, if one is given.
fn cli(ca: &Path, port: u16, client: Option<(&Path, &Path)>, words: &[&str]) -> Result<Output> {
    let mut command = Command::new(tool("redis-cli", REMEDY)?);
    command
        .args(["--tls", "--sni", "localhost", "--cacert"])
        .arg(ca)
        .args(["-p", &port.to_string()])
        .stdin(Stdio::null());
    if let Some((cert, key)) = client {
        command.arg("--cert").arg(cert).arg("--key").arg(key);
    }
    Ok(command.args(words).output()?)
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn real_clients_speak_tls() -> Result<()> {
    let authority = Authority::new()?;
    authority.sign("server")?;
    authority.sign("client")?;
    let port = free_port()?;
    let server = Server::start(Role::Subject, &with_tls(&authority, port))?;
    let (ca, cert, key) = (
        authority.path("ca.crt"),
        authority.path("client.crt"),
        authority.path("client.key"),
    );
    let ask = |words: &[&str]| cli(&ca, port, Some((&cert, &key)), words);
    assert_eq!(says(&ask(&["SET", "k", "v"])?), "OK");
    // Plain connections see the same data.
    assert_eq!(server.connect()?.command("GET k")?.text(), Some("v"));
    // More than a record, in both directions.
    let mut big = Command::new(tool("redis-cli", REMEDY)?)
        .args(["--tls", "--sni", "localhost", "--cacert"])
        .arg(&ca)
        .arg("--cert")
        .arg(&cert)
        .arg("--key")
        .arg(&key)
        .args(["-p", &port.to_string(), "-x", "SET", "big"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let value: Vec<u8> = (0..5_000_000u32).map(|i| b'a' + (i % 23) as u8).collect();
    big.stdin.take().context("piped")?.write_all(&value)?;
    assert_eq!(says(&big.wait_with_output()?), "OK");
    assert_eq!(ask(&["GET", "big"])?.stdout.strip_suffix(b"\n"), Some(&value[..]));
    // Deep pipelines of many connections.
    let run = Command::new(tool("redis-benchmark", REMEDY)?)
        .args(["--tls", "--cacert"])
        .arg(&ca)
        .arg("--cert")
        .arg(&cert)
        .arg("--key")
        .arg(&key)
        .args(["-p", &port.to_string()])
        .args([
            "-q",
            "-n",
            "20000",
            "-c",
            "20",
            "-P",
            "50",
            "-d",
            "300",
            "-t",
            "set,get,lrange_100",
        ])
        .output()?;
    ensure!(run.status.success(), "{run:?}");
    assert_eq!(says(&ask(&["DBSIZE"])?), "4");
    Ok(())
}

#[test]
fn who_must_show_a_certificate() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    authority.sign("server")?;
    authority.sign("client")?;
    stranger.sign("client")?;
    let ca = authority.path("ca.crt");
    let known = (authority.path("client.crt"), authority.path("client.key"));
    let unknown = (stranger.path("client.crt"), stranger.path("client.key"));
    for (setting, without, with_unknown) in [
        ("yes", false, false),
        ("optional", true, false),
        ("no", true, true),
    ] {
        let port = free_port()?;
        let options = with_tls(&authority, port).directive("tls-auth-clients", setting);
        let _server = Server::start(Role::Subject, &options)?;
        let pongs = |client: Option<(&Path, &Path)>| Ok(says(&cli(&ca, port, client, &["PING"])?) == "PONG");
        let pair = |(cert, key): &'_ (PathBuf, PathBuf)| (cert.clone(), key.clone());
        let (cert, key) = pair(&known);
        let result: Result<bool> = pongs(Some((&cert, &key)));
        assert!(result?, "{setting}: a known client");
        let result: Result<bool> = pongs(None);
        assert_eq!(result?, without, "{setting}: no certificate");
        let (cert, key) = pair(&unknown);
        let result: Result<bool> = pongs(Some((&cert, &key)));
        assert_eq!(result?, with_unknown, "{setting}: a stranger's certificate");
    }
    Ok(())
}

#[test]
fn what_is_not_tls_is_ended() -> Result<()> {
    let authority = Authority::new()?;
    authority.sign("server")?;
    let port = free_port()?;
    let server = Server::start(Role::Subject, &with_tls(&authority, port))?;
    let mut plain = TcpStream::connect(("127.0.0.1", port))?;
    plain.set_read_timeout(Some(Duration::from_secs(90)))?;
    plain.write_all(b"*1\r\n$4\r\nPING\r\n")?;
    let mut answer = Vec::new();
    // An alert, then the end; a reset is an end as well.
    let _end = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"+PONG"), "{answer:?}");
    assert_eq!(server.connect()?.command("PING")?.text(), Some("PONG"));
    Ok(())
}

#[test]
fn certificates_change_while_the_server_runs() -> Result<()> {
    let (old, new) = (Authority::new()?, Authority::new()?);
    for authority in [&old, &new] {
        authority.sign("server")?;
    }
    let port = free_port()?;
    let server = Server::start(Role::Subject, &Options::new())?;
    let mut client = server.connect()?;
    let path = |authority: &Authority, name: &str| authority.path(name).to_string_lossy().into_owned();
    let set = |client: &mut holdfast_tests::client::Client, pairs: &[(&str, String)]| {
        let mut words = vec!["CONFIG", "SET"];
        for (name, value) in pairs {
            words.extend([*name, value.as_str()]);
        }
        client.call(&words)
    };
    let files = |authority: &Authority| {
        ["cert", "key"].map(|kind| {
            let name = if kind == "cert" {
                "server.crt"
            } else {
                "server.key"
            };
            (
                if kind == "cert" {
                    "tls-cert-file"
                } else {
                    "tls-key-file"
                },
                path(authority, name),
            )
        })
    };
    let refused = set(&mut client, &[("tls-port", port.to_string())])?;
    assert!(refused.is_error(), "no certificate yet: {refused:?}");
    let mut all = files(&old).to_vec();
    all.push(("tls-port", port.to_string()));
    all.push(("tls-auth-clients", "no".into()));
    assert!(!set(&mut client, &all)?.is_error());
    let pongs = |authority: &Authority| -> Result<bool> {
        Ok(says(&cli(&authority.path("ca.crt"), port, None, &["PING"])?) == "PONG")
    };
    assert!(pongs(&old)? && !pongs(&new)?);
    // The key of another certificate: refused, and what was in use stays.
    let mixed = [("tls-key-file", path(&new, "server.key"))];
    assert!(set(&mut client, &mixed)?.is_error());
    assert!(pongs(&old)?);
    // The same names, renewed files.
    for name in ["server.crt", "server.key"] {
        fs::copy(new.path(name), old.path(name))?;
    }
    assert!(!set(&mut client, &files(&old))?.is_error());
    assert!(pongs(&new)? && !pongs(&old)?);
    assert!(!set(&mut client, &[("tls-port", "0".into())])?.is_error());
    assert!(!pongs(&new)?);
    Ok(())
}

#[test]
fn a_key_with_a_password() -> Result<()> {
    let authority = Authority::new()?;
    let key = authority.sign("server")?;
    let parameters = pkcs8::pkcs5::pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, &[7; 16], &[9; 16])
        .expect("within bounds");
    let der = key.serialize_der();
    let sealed = pkcs8::PrivateKeyInfo::try_from(&der[..])
        .and_then(|info| info.encrypt_with_params(parameters, "open sesame"))
        .expect("a key that was just made");
    let pem = sealed
        .to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF)
        .expect("a document as PEM");
    fs::write(authority.path("server.key"), pem.as_bytes())?;
    let port = free_port()?;
    let options = |password: &str| {
        with_tls(&authority, port)
            .directive("tls-auth-clients", "no")
            .directive("tls-key-file-pass", password)
    };
    let refused = Server::start(Role::Subject, &options("open barley"))
        .err()
        .context("a wrong password")?;
    assert!(
        format!("{refused:#}").contains("the key is encrypted"),
        "{refused:#}"
    );
    let _server = Server::start(Role::Subject, &options("open sesame"))?;
    assert_eq!(
        says(&cli(&authority.path("ca.crt"), port, None, &["PING"])?),
        "PONG"
    );
    Ok(())
}

#[test]
fn a_replica_follows_over_tls() -> Result<()> {
    let authority = Authority::new()?;
    authority.sign("server")?;
    for (role, at) in [
        (Role::Oracle, Role::Subject),
        (Role::Subject, Role::Subject),
        (Role::Subject, Role::Oracle),
    ] {
        let port = free_port()?;
        let options = with_tls(&authority, port).directive("repl-diskless-sync-delay", "0");
        let primary = Server::start(role, &options)?;
        let mut p = primary.connect()?;
        p.call(&["SET", "big", &"x".repeat(3 << 20)])?;
        let options = with_tls(&authority, free_port()?).directive("tls-replication", "yes");
        let replica = Server::start(at, &options)?;
        // Without TLS there is no way in by this port, with it none by the other.
        let mut r = replica.connect()?;
        r.command(&format!("REPLICAOF localhost {}", primary.address().port()))?;
        let refused = "Error condition on socket for SYNC";
        wait_until("it is refused", || Ok(replica.log().contains(refused)))?;
        r.command(&format!("REPLICAOF localhost {port}"))?;
        assert_same(&primary, &replica)?;
        for i in 0..200 {
            p.call(&["SET", &format!("k{i}"), &"y".repeat(i * 50)])?;
        }
        assert_same(&primary, &replica)?;
        assert_eq!(p.command("WAIT 1 20000")?, Reply::Integer(1));
        cut_link(&replica)?;
        p.command("SET after 1")?;
        assert_same(&primary, &replica)?;
    }
    Ok(())
}
