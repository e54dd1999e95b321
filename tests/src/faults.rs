//! Disks that are full, read-only or broken, under servers that are real: a small file system that only the server sees
//! (`unshare`, `mount`), and system calls that fail (`strace`).

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::server::{Options, Role, Server, signal, tool};

/// A server whose data folder is a file system of its own, in memory, of a given size. It is gone with the server.
pub struct OnSmallDisk {
    /// The server.
    pub server: Server,
    mount: TempDir,
}

impl OnSmallDisk {
    /// Starts a server whose folder takes so many kilobytes.
    ///
    /// # Errors
    /// No file system can be mounted, even with a user namespace; or as [`Server::start`].
    pub fn start(role: Role, options: Options, kilobytes: u32) -> Result<OnSmallDisk> {
        tool("unshare", "apt-get install util-linux")?;
        let mount = tempfile::Builder::new().prefix("holdfast-disk-").tempdir()?;
        let script = format!(
            "mount -t tmpfs -o size={kilobytes}k none '{}' && exec \"$@\"",
            mount.path().display()
        );
        // Root inside, whoever the tests run as: mounting takes that.
        let wrapper = ["unshare", "--map-root-user", "--mount", "sh", "-c", &script, "sh"];
        let server = Server::start(role, &options.dir(mount.path()).wrapper(&wrapper))?;
        Ok(OnSmallDisk { server, mount })
    }

    /// The server's folder, seen from here.
    pub fn dir(&self) -> PathBuf {
        let inside = self.mount.path();
        let inside = inside.strip_prefix("/").unwrap_or(inside);
        Path::new("/proc")
            .join(self.server.pid().to_string())
            .join("root")
            .join(inside)
    }

    /// Mounts it again with other options: `size=64m`, `ro`, `rw`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remount(&self, options: &str) -> Result<()> {
        let pid = self.server.pid().to_string();
        let done = Command::new(tool("nsenter", "apt-get install util-linux")?)
            .args(["--target", &pid, "--mount", "--user", "--preserve-credentials"])
            .args(["mount", "-o", &format!("remount,{options}")])
            .arg(self.mount.path())
            .output()?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// Puts a file there that takes all that is left.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn fill(&self) -> Result<()> {
        let mut file = std::fs::File::create(self.dir().join("ballast"))?;
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        Ok(())
    }

    /// Takes it away.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.dir().join("ballast"))?)
    }
}

/// System calls of a server that fail, until this is dropped.
pub struct Failing {
    tracer: Child,
}

impl Failing {
    /// Has `calls` (`fsync,fdatasync`) of `server` on the file `path`, or on any, fail as `fault` says (`error=EIO`,
    /// `error=ENOSPC:when=3+`). Without a path, what wakes threads or goes to clients may fail, too.
    ///
    /// # Errors
    /// `strace` is missing, or may not trace.
    pub fn begin(server: &Server, calls: &str, path: Option<&Path>, fault: &str) -> Result<Failing> {
        let mut command = Command::new(tool("strace", "apt-get install strace")?);
        if let Some(path) = path {
            command.arg("-P").arg(path);
        }
        let mut tracer = command
            .args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}")])
            .args([
                "-e",
                &format!("inject={calls}:{fault}"),
                "-p",
                &server.pid().to_string(),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = tracer.stderr.take().context("it was asked for")?;
        let mut lines = BufReader::new(said).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        ensure!(first.contains("attached"), "strace: {first}");
        // It says more as threads come; nobody reads it, so it must have somewhere to go.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Failing { tracer })
    }
}

impl Failing {
    /// Lets the calls succeed again.
    ///
    /// # Errors
    /// The tracer does not let go.
    pub fn end(mut self) -> Result<()> {
        self.let_go()
    }

    fn let_go(&mut self) -> Result<()> {
        // It lets go of the server when it is asked to end; killed, it would leave it stopped.
        if self.tracer.try_wait()?.is_none() {
            signal(self.tracer.id(), Signal::SIGTERM)?;
            self.tracer.wait()?;
        }
        Ok(())
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        let _gone_already = self.let_go();
    }
}
