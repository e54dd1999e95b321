//! Programs that people use with Redis: redis-cli, redis-benchmark and redis-py.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use holdfast_tests::server::{Options, Role, Server, tool};

/// The version whose own suite is known to pass against Redis.
const REDIS_PY: &str = "redis==5.2.1";

fn server() -> Result<Server> {
    Server::start(Role::Subject, &Options::new().threads(2))
}

/// Runs a program to its end and returns what it printed.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    anyhow::ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{text}",
        output.status
    );
    Ok(text)
}

fn port(server: &Server) -> String {
    server.address().port().to_string()
}

#[test]
fn redis_benchmark_runs_its_tests() -> Result<()> {
    let benchmark = tool("redis-benchmark", "apt-get install redis-tools")?;
    let server = server()?;
    let names = "set,get,incr,lpush,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset";
    for (pipeline, extra) in [
        ("1", &[][..]),
        ("16", &[]),
        ("16", &["-r", "1000"]),
        ("4", &["--threads", "2", "-3"]),
    ] {
        let text = output(
            Command::new(&benchmark)
                .args([
                    "-p",
                    &port(&server),
                    "-t",
                    names,
                    "-n",
                    "10000",
                    "-q",
                    "-P",
                    pipeline,
                ])
                .args(extra),
        )?;
        anyhow::ensure!(!text.contains("rror"), "redis-benchmark -P {pipeline}:\n{text}");
        let done = text.matches("requests per second").count();
        // LRANGE counts five times: four lengths, and the pushes before them.
        anyhow::ensure!(done == 16, "redis-benchmark finished {done} of 16 tests:\n{text}");
    }
    Ok(())
}

#[test]
fn redis_cli_speaks_with_it() -> Result<()> {
    let cli = tool("redis-cli", "apt-get install redis-tools")?;
    let server = server()?;
    let run = |words: &[&str]| output(Command::new(&cli).args(["-p", &port(&server)]).args(words));
    assert_eq!(run(&["SET", "k", "hello"])?.trim(), "OK");
    assert_eq!(run(&["--no-raw", "GET", "k"])?.trim(), "\"hello\"");
    assert!(run(&["-3", "--no-raw", "HELLO"])?.contains("\"proto\" => (integer) 3"));
    assert_eq!(run(&["-n", "5", "--no-raw", "DBSIZE"])?.trim(), "(integer) 0");
    assert!(run(&["--no-raw", "LPUSH", "k", "x"])?.contains("(error) WRONGTYPE"));
    run(&["RPUSH", "list", "a", "b", "c"])?;
    assert!(run(&["--scan"])?.contains("list"));
    assert!(run(&["--bigkeys"])?.contains("Biggest   list found"));
    assert!(run(&["--memkeys"])?.contains("Sampled 2 keys"));
    assert!(run(&["--help"])?.contains("redis-cli"));
    assert!(run(&["INFO", "server"])?.contains("redis_version:"));
    Ok(())
}

#[test]
fn redis_cli_pipes_a_file() -> Result<()> {
    const COMMANDS: usize = 20_000;
    let cli = tool("redis-cli", "apt-get install redis-tools")?;
    let server = server()?;
    let mut child = Command::new(&cli)
        .args(["-p", &port(&server), "--pipe"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("stdin is piped")?;
    for number in 0..COMMANDS {
        writeln!(input, "SET pipe:{number} {number}\r")?;
    }
    drop(input);
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains(&format!("errors: 0, replies: {COMMANDS}")),
        "{text}"
    );
    Ok(())
}

#[test]
fn redis_py_works() -> Result<()> {
    let python = python_with_redis()?;
    let server = server()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/smoke.py");
    let text = output(Command::new(python).arg(script).arg(port(&server)))
        .with_context(|| format!("the server's log ends with\n{}", server.log()))?;
    assert!(text.lines().any(|line| line == "ok"), "{text}");
    Ok(())
}

/// A Python that can import redis-py: in a virtual environment under the target folder, made at the first run.
fn python_with_redis() -> Result<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("venv");
    let python = venv.join("bin/python");
    let has_redis = |python: &Path| {
        let test = Command::new(python)
            .args(["-c", "import redis"])
            .stderr(Stdio::null())
            .status();
        test.is_ok_and(|status| status.success())
    };
    if has_redis(&python) {
        return Ok(python);
    }
    let system = tool("python3", "apt-get install python3 python3-venv")?;
    output(Command::new(system).args(["-m", "venv"]).arg(&venv))
        .context("python3 makes no virtual environment: `apt-get install python3-venv`")?;
    output(Command::new(&python).args(["-m", "pip", "install", "--quiet", REDIS_PY])).with_context(|| {
        format!(
            "redis-py is missing: `pip install {REDIS_PY}` into {}",
            venv.display()
        )
    })?;
    if !has_redis(&python) {
        bail!("{} cannot import redis", python.display());
    }
    Ok(python)
}
