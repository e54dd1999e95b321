//! Where the programs are: the server under test, the oracle, and tools of the system.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

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
    pub(super) path: PathBuf,
    pub(super) is_redis: bool,
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
