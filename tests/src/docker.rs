//! Images and containers of the tests, on the engine of this machine. Everything has a name of its own and is removed when
//! it is dropped.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::server::{Binary, Role, tool};
use crate::wait::wait_until;

const REMEDY: &str = "apt-get install docker.io docker-compose busybox-static, and start the engine";

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a program and returns what it printed.
///
/// # Errors
/// It failed; the message has its words.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `docker WORDS`.
///
/// # Errors
/// There is no engine, or it refuses; the message says how to get one.
pub fn docker(words: &[&str]) -> Result<String> {
    run(Command::new(tool("docker", REMEDY)?).args(words))
}

/// The image of the server under test, and the one below it that has a shell and redis-cli.
#[derive(Debug)]
pub struct Images {
    /// A shell and redis-cli.
    pub base: String,
    /// The server, made by the repository's Dockerfile.
    pub server: String,
}

impl Images {
    /// Made once for a process, under names that the next run uses again.
    ///
    /// # Errors
    /// There is no engine, or the Dockerfile does not work.
    pub fn get() -> Result<&'static Self> {
        static IMAGES: OnceLock<Result<Images, String>> = OnceLock::new();
        let made = IMAGES.get_or_init(|| Self::make().map_err(|e| format!("{e:#}")));
        made.as_ref().map_err(|text| anyhow::anyhow!("{text}"))
    }

    fn make() -> Result<Self> {
        let root = repository();
        docker(&["version", "--format", "{{.Server.Version}}"]).context(REMEDY)?;
        // Other checkouts on this machine have images of their own.
        let mut hasher = DefaultHasher::new();
        root.canonicalize()?.hash(&mut hasher);
        let tag = format!("{:08x}", hasher.finish() as u32);
        let images = Self {
            base: format!("holdfast-test-base:{tag}"),
            server: format!("holdfast-test:{tag}"),
        };
        run(Command::new(root.join("tests/docker/base-image")).arg(&images.base))?;
        let binary = Binary::find(Role::Subject)?;
        let context = tempfile::tempdir()?;
        // The context is what the Dockerfile needs here: not the whole tree with its build folders.
        for name in ["Dockerfile", ".dockerignore"] {
            std::fs::copy(root.join(name), context.path().join(name))?;
        }
        std::fs::create_dir_all(context.path().join("target/image"))?;
        std::fs::copy(binary.path(), context.path().join("target/image/holdfast"))?;
        let base = &images.base;
        run(Command::new(tool("docker", REMEDY)?)
            .env("DOCKER_BUILDKIT", "0")
            .args(["build", "-q", "-t", &images.server])
            .args(["--build-arg", &format!("BUILD_IMAGE={base}")])
            .args(["--build-arg", &format!("RUNTIME_IMAGE={base}")])
            .args([
                "--build-arg",
                "BUILD_COMMAND=mkdir -p target/release && cp target/image/holdfast target/release",
            ])
            .arg(context.path()))?;
        Ok(images)
    }
}

/// A container. Removed with its volumes when dropped.
#[derive(Debug)]
pub struct Container {
    /// Its name.
    pub name: String,
}

impl Container {
    /// `docker run -d OPTIONS IMAGE ARGUMENTS`. `name` is part of its name.
    ///
    /// # Errors
    /// As [`docker`].
    pub fn start(name: &str, options: &[&str], image: &str, arguments: &[&str]) -> Result<Self> {
        let this = Self {
            name: format!("holdfast-test-{}-{name}", std::process::id()),
        };
        let mut words = vec!["run", "-d", "--name", &this.name];
        words.extend(options);
        words.push(image);
        words.extend(arguments);
        docker(&words)?;
        Ok(this)
    }

    /// Its address on the engine's network.
    ///
    /// # Errors
    /// As [`docker`].
    pub fn address(&self) -> Result<String> {
        let address = docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", &self.name])?;
        ensure!(!address.is_empty(), "{} has no address", self.name);
        Ok(address)
    }

    /// `docker exec`.
    ///
    /// # Errors
    /// As [`docker`].
    pub fn exec(&self, words: &[&str]) -> Result<String> {
        docker(&[&["exec", &self.name], words].concat())
    }

    /// Waits until its health check says that it is well.
    ///
    /// # Errors
    /// It does not within a minute; the message has its log.
    pub fn wait_until_healthy(&self) -> Result<()> {
        let mut status = String::new();
        wait_until("the container is healthy", || {
            status = docker(&["inspect", "-f", "{{.State.Health.Status}}", &self.name])?;
            Ok(status == "healthy")
        })
        .with_context(|| {
            let log = docker(&["logs", &self.name]);
            format!("{} is {status:?}: {log:?}", self.name)
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _gone_already = docker(&["rm", "-f", "-v", &self.name]);
    }
}
