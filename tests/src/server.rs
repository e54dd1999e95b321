//! Starts and stops the server under test (the *subject*) and the server that is right by definition (the *oracle*).
//!
//! The subject is the `holdfast` binary that cargo built beside the running test, or whatever `HOLDFAST_BIN` names.
//! Naming a `redis-server` there is how the tests test themselves. The oracle is the `redis-server` on the `PATH`.
//! A server is ready when its log says so.

mod binary;
mod log;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub use self::binary::{Binary, Role, tool};
use self::log::Log;
use crate::client::Client;
use crate::ports::free_port;
use crate::wait::{wait_until, wait_within};

const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const START_ATTEMPTS: usize = 5;
const READY: &str = "Ready to accept connections";

/// How to start a server, beyond the settings that every test shares.
#[derive(Debug, Clone, Default)]
pub struct Options {
    arguments: Vec<String>,
    threads: Option<usize>,
    encodings_of_redis: bool,
    wrapper: Vec<String>,
    dir: Option<PathBuf>,
    files_of: Option<PathBuf>,
    config: Option<PathBuf>,
    bind: Option<IpAddr>,
    port: Option<u16>,
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

    /// Starts with a configuration file, which comes before all directives.
    #[must_use]
    pub fn config(mut self, file: &Path) -> Options {
        self.config = Some(file.to_owned());
        self
    }

    /// Sets the subject's number of workers. Ignored by a `redis-server`.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Options {
        self.threads = Some(threads);
        self
    }

    /// Has the subject encode everything as Redis 7.0 does, which has no listpack for sets. Ignored by a `redis-server`.
    #[must_use]
    pub fn encodings_of_redis(mut self) -> Options {
        self.encodings_of_redis = true;
        self
    }

    /// Keeps the data in this folder, which must be there and stays when the server is gone: for servers that follow each
    /// other on the same data.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Options {
        self.dir = Some(dir.to_path_buf());
        self
    }

    /// Copies what is in this folder into the server's own before it starts.
    #[must_use]
    pub fn files_of(mut self, dir: &Path) -> Options {
        self.files_of = Some(dir.to_path_buf());
        self
    }

    /// Listens there, not at 127.0.0.1: for servers on hosts of [`crate::namespaces`].
    #[must_use]
    pub fn bind(mut self, address: IpAddr) -> Options {
        self.bind = Some(address);
        self
    }

    /// Listens at this port, not at a free one: for servers that come back at the same address.
    #[must_use]
    pub fn port(mut self, port: u16) -> Options {
        self.port = Some(port);
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
    dir: DataDir,
}

enum DataDir {
    Own(TempDir),
    Lent(PathBuf),
}

impl DataDir {
    fn path(&self) -> &Path {
        match self {
            DataDir::Own(dir) => dir.path(),
            DataDir::Lent(dir) => dir,
        }
    }
}

/// Copies a folder with all that is in it.
///
/// # Errors
/// Something cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
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
            let started = Server::spawn(&binary, options);
            match started.and_then(|mut s| s.wait_until_ready().map(|()| s)) {
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

    /// Starts a server and does not wait until it is ready.
    ///
    /// # Errors
    /// A missing binary.
    pub fn launch(role: Role, options: &Options) -> Result<Server> {
        Server::spawn(&Binary::find(role)?, options)
    }

    fn spawn(binary: &Binary, options: &Options) -> Result<Server> {
        let dir = match &options.dir {
            Some(dir) => DataDir::Lent(dir.clone()),
            None => DataDir::Own(tempfile::Builder::new().prefix("holdfast-test-").tempdir()?),
        };
        if let Some(files) = &options.files_of {
            copy_folder(files, dir.path())?;
        }
        let bind = options.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = match options.port {
            Some(port) => port,
            None => free_port()?,
        };
        let mut words: Vec<String> = options.wrapper.clone();
        words.push(binary.path.to_string_lossy().into_owned());
        let (program, wrapped) = words.split_first().context("no program")?;
        let mut command = Command::new(program);
        command.args(wrapped);
        command.args(&options.config);
        command.args(["--port", &port.to_string(), "--bind", &bind.to_string()]);
        command.args(["--save", ""]);
        command.arg("--dir").arg(dir.path());
        command.args(["--enable-debug-command", "yes", "--appendonly", "no"]);
        if let Some(threads) = options.threads
            && !binary.is_redis
        {
            command.args(["--threads", &threads.to_string()]);
        }
        if options.encodings_of_redis && !binary.is_redis {
            command.args(["--set-max-listpack-entries", "0"]);
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
        let address = SocketAddr::from((bind, port));
        Ok(Server {
            child,
            binary: binary.clone(),
            address,
            log,
            dir,
        })
    }

    /// Waits until a server that was only launched is ready.
    ///
    /// # Errors
    /// It ends, or is not ready in time; the message carries its log.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if self.log.wait_for(READY, Duration::from_millis(50)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let _whole = self.log.wait_for_end(STOP_TIMEOUT);
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

    /// Its data folder: its own, removed with the server, unless [`Options::dir`] names another.
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

    /// Sends the process a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self::signal(self.pid(), signal)
    }

    /// Asks the process to end with SIGTERM and waits for it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn terminate(self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        self.wait_for_end()
    }

    /// Ends the process with SIGKILL, as a crash does.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for a process that was told to end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn wait_for_end(mut self) -> Result<()> {
        let child = &mut self.child;
        wait_within(STOP_TIMEOUT, "the process ends", || Ok(child.try_wait()?))
            .with_context(|| self.log.text())?;
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

/// Sends a process a signal. After SIGSTOP it stands when this returns.
///
/// # Errors
/// When it is gone.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(pid)?), signal)?;
    if signal == Signal::SIGSTOP {
        wait_until("the process stands", || stands(pid))?;
    }
    Ok(())
}

/// Whether all threads of a process are stopped. A signal takes effect on each when it next enters the kernel, which on a busy
/// machine is later than the sender goes on.
fn stands(pid: u32) -> Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that has ended meanwhile does nothing more.
        let Ok(stat) = std::fs::read_to_string(thread?.path().join("stat")) else {
            continue;
        };
        // Behind the name, which may hold anything.
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        if state != Some('T') {
            return Ok(false);
        }
    }
    Ok(true)
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
