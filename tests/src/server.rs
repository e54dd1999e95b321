//! Starts and stops the server under test (the *subject*) and the server that is right by definition (the *oracle*).
//!
//! The subject is the `holdfast` binary that cargo built beside the running test, or whatever `HOLDFAST_BIN` names.
//! Naming a `redis-server` there is how the tests test themselves. The oracle is the `redis-server` on the `PATH`.
//! A server is ready when its log says so; nothing here sleeps for a fixed time.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::client::Client;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const START_ATTEMPTS: usize = 5;
const LOG_LINES_KEPT: usize = 200;
const READY: &str = "Ready to accept connections";

/// Which of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The server under test.
    Subject,
    /// Redis 7.0.
    Oracle,
}

/// A binary and what it is.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
    is_redis: bool,
}

impl Binary {
    /// The binary for `role`.
    ///
    /// # Errors
    /// When it is missing; the message says how to get it.
    pub fn find(role: Role) -> Result<Binary> {
        match role {
            Role::Subject => subject(),
            Role::Oracle => oracle(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a `redis-server`, also when it plays the subject.
    pub fn is_redis(&self) -> bool {
        self.is_redis
    }
}

fn subject() -> Result<Binary> {
    if let Some(path) = std::env::var_os("HOLDFAST_BIN") {
        let path = PathBuf::from(path);
        let path = if path.components().count() == 1 {
            on_path(&path).unwrap_or(path)
        } else {
            path
        };
        anyhow::ensure!(
            path.is_file(),
            "HOLDFAST_BIN names {}, which is no file",
            path.display()
        );
        let is_redis = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().contains("redis-server"));
        return Ok(Binary { path, is_redis });
    }
    let path = target_dir()?.join("holdfast");
    if !path.is_file() {
        bail!(
            "{} is missing: build it with `cargo build -p holdfast` for the profile in use, or name one in HOLDFAST_BIN",
            path.display()
        );
    }
    Ok(Binary {
        path,
        is_redis: false,
    })
}

/// The folder into which cargo puts the binaries of the profile that built the running executable.
fn target_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("finding the running executable")?;
    let mut dir = exe.parent().context("the running executable has no folder")?;
    if dir
        .file_name()
        .is_some_and(|name| name == "deps" || name == "examples")
    {
        dir = dir.parent().context("the deps folder has no parent")?;
    }
    Ok(dir.to_path_buf())
}

fn oracle() -> Result<Binary> {
    let path = tool("redis-server", "apt-get install redis-server")?;
    Ok(Binary { path, is_redis: true })
}

/// The path of a program that the tests need.
///
/// # Errors
/// When it is not on the `PATH`; the message names `remedy`, the command that installs it.
pub fn tool(name: &str, remedy: &str) -> Result<PathBuf> {
    on_path(Path::new(name)).with_context(|| format!("`{name}` is not installed: `{remedy}`"))
}

fn on_path(name: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

/// How to start a server, beyond the settings that every test shares.
#[derive(Debug, Clone, Default)]
pub struct Options {
    arguments: Vec<String>,
    threads: Option<usize>,
    wrapper: Vec<String>,
}

impl Options {
    /// The shared settings alone.
    pub fn new() -> Options {
        Options::default()
    }

    /// Adds a directive, as in `redis-server --name value`.
    #[must_use]
    pub fn directive(mut self, name: &str, value: &str) -> Options {
        self.arguments.extend([format!("--{name}"), value.to_owned()]);
        self
    }

    /// Sets the subject's number of workers. Ignored by a `redis-server`.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Options {
        self.threads = Some(threads);
        self
    }

    /// Starts the server through another program, such as `taskset -c 0`.
    #[must_use]
    pub fn wrapper(mut self, words: &[&str]) -> Options {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
        self
    }
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    binary: Binary,
    address: SocketAddr,
    log: Arc<Log>,
    dir: TempDir,
}

impl Server {
    /// Starts the subject with the shared settings.
    ///
    /// # Errors
    /// As for [`Server::start`].
    pub fn subject() -> Result<Server> {
        Server::start(Role::Subject, &Options::new())
    }

    /// Starts the oracle with the shared settings.
    ///
    /// # Errors
    /// As for [`Server::start`].
    pub fn oracle() -> Result<Server> {
        Server::start(Role::Oracle, &Options::new())
    }

    /// Starts a server on a free port, in a folder of its own, and waits until it is ready.
    ///
    /// # Errors
    /// A missing binary, or a server that ends or is not ready in time; the message carries its log.
    pub fn start(role: Role, options: &Options) -> Result<Server> {
        let binary = Binary::find(role)?;
        let mut attempt = 1;
        loop {
            match Server::start_once(&binary, options) {
                Ok(server) => return Ok(server),
                // Another process may take the port between our asking for a free one and the server's bind.
                Err(error)
                    if attempt < START_ATTEMPTS && format!("{error:#}").contains("Failed listening") =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn start_once(binary: &Binary, options: &Options) -> Result<Server> {
        let dir = tempfile::Builder::new().prefix("holdfast-test-").tempdir()?;
        let port = free_port()?;
        let mut words: Vec<String> = options.wrapper.clone();
        words.push(binary.path.to_string_lossy().into_owned());
        let (program, wrapped) = words.split_first().context("no program")?;
        let mut command = Command::new(program);
        command.args(wrapped);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.arg("--dir").arg(dir.path());
        command.args(["--enable-debug-command", "yes", "--appendonly", "no"]);
        if let Some(threads) = options.threads
            && !binary.is_redis
        {
            command.args(["--threads", &threads.to_string()]);
        }
        command.args(&options.arguments);
        // SORT ... ALPHA of redis-server follows the locale; bytes compare the same everywhere.
        command
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {}", binary.path.display()))?;
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take());
        log.follow(child.stderr.take());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server {
            child,
            binary: binary.clone(),
            address,
            log,
            dir,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if self.log.wait_for(READY, Duration::from_millis(50)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended at start with {status}; its log:\n{}",
                    self.binary.path.display(),
                    self.log()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "{} did not log `{READY}` within {START_TIMEOUT:?}; its log:\n{}",
                    self.binary.path.display(),
                    self.log()
                );
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it is.
    pub fn binary(&self) -> &Binary {
        &self.binary
    }

    /// Its data folder, empty at start and removed with the server.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A new connection.
    ///
    /// # Errors
    /// A server that no longer accepts; the message carries its log.
    pub fn connect(&self) -> Result<Client> {
        Client::connect(self.address).with_context(|| format!("the server's log ends with:\n{}", self.log()))
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    /// When the process cannot be asked for.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// The resident set, in bytes.
    ///
    /// # Errors
    /// When the process is gone or `/proc` is not readable.
    pub fn resident_bytes(&self) -> Result<u64> {
        resident_bytes(self.pid())
    }

    /// Asks the process to end with SIGTERM and waits for it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn terminate(mut self) -> Result<()> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id())?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.child.try_wait()?.is_none() {
            anyhow::ensure!(
                Instant::now() < deadline,
                "no end within {STOP_TIMEOUT:?} of SIGTERM:\n{}",
                self.log()
            );
            self.log.wait_for("bye bye", Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The resident set of a process, in bytes, from `/proc/PID/status`.
///
/// # Errors
/// When the process is gone or `/proc` is not readable.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS in /proc/PID/status")?;
    let kilobytes: u64 = line
        .split_whitespace()
        .nth(1)
        .context("VmRSS has no number")?
        .parse()?;
    Ok(kilobytes * 1024)
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("asking for a free port")?;
    Ok(listener.local_addr()?.port())
}

/// The last lines that a server wrote, and whether it said that it is ready.
#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    grown: Condvar,
}

#[derive(Default)]
struct LogState {
    lines: VecDeque<String>,
}

impl Log {
    fn follow(self: &Arc<Log>, source: Option<impl std::io::Read + Send + 'static>) {
        let Some(source) = source else { return };
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { return };
                let mut state = log.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.lines.len() == LOG_LINES_KEPT {
                    state.lines.pop_front();
                }
                state.lines.push_back(String::from_utf8_lossy(&line).into_owned());
                log.grown.notify_all();
            }
        });
    }

    /// Waits until a kept line contains `text`; false after `wait`.
    fn wait_for(&self, text: &str, wait: Duration) -> bool {
        let found = |state: &mut LogState| !state.lines.iter().any(|line| line.contains(text));
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (_state, timeout) = self
            .grown
            .wait_timeout_while(state, wait, found)
            .unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    fn text(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }
}
