//! The tools inside the binary `holdfast`: they look at files, and change them when asked to.
//!
//! | tool | where |
//! |---|---|
//! | `check-rdb FILE` | [`check_rdb`] |
//! | `check-aof [--fix] FILE` | [`check_aof`] |
//! | `encrypt`, `decrypt`, `generate-key` | [`convert`] |
//! | `healthcheck` | [`healthcheck`] |
//! | `recover-cluster FILE` | [`recover_cluster`] |
//!
//! Reports go to standard output, in the words of `redis-check-rdb` and `redis-check-aof` where those have some; progress
//! and errors go to standard error. Exit codes are those of Redis's tools: 0 all is well, 1 anything else.
//!
//! Must not know: the server, its configuration.

#![forbid(unsafe_code)]

mod check_aof;
mod check_rdb;
mod cli;
mod convert;
mod files;
mod healthcheck;
mod progress;
mod recover_cluster;
mod summary;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use cli::Tool;

/// The names of the tools, as the first argument.
pub const TOOLS: [&str; 7] = [
    "check-rdb",
    "check-aof",
    "encrypt",
    "decrypt",
    "generate-key",
    "healthcheck",
    "recover-cluster",
];

/// Runs a tool if the arguments, the program's name among them, ask for one: `holdfast check-rdb FILE`, or the program
/// called `redis-check-rdb`, as a link to it may be. None: it is the server that is wanted.
pub fn run(args: &[OsString]) -> Option<ExitCode> {
    let args = tool_arguments(args)?;
    let tool = match Tool::try_parse_from(args) {
        Ok(tool) => tool,
        Err(error) => {
            let _nowhere_else_to_say_it = error.print();
            let wrong = error.use_stderr();
            return Some(if wrong {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            });
        }
    };
    let mut out = io::stdout().lock();
    let done = match tool {
        Tool::CheckRdb(options) => check_rdb::run(&options, &mut out),
        Tool::CheckAof(options) => check_aof::run(&options, &mut io::stdin().lock(), &mut out),
        Tool::Encrypt(options) => convert::encrypt(&options, &mut out),
        Tool::Decrypt(options) => convert::decrypt(&options, &mut out),
        Tool::GenerateKey(options) => convert::generate_key(&options, &mut out),
        Tool::RecoverCluster(options) => recover_cluster::run(&options, &mut out),
        Tool::Healthcheck(options) => healthcheck::run(&options, &mut out),
    };
    let done = done.and_then(|good| out.flush().map(|()| good).map_err(|e| e.to_string()));
    Some(match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

/// The arguments with the tool's name as the second, if a tool is meant.
fn tool_arguments(args: &[OsString]) -> Option<Vec<OsString>> {
    let program = args.first()?;
    let called = Path::new(program)
        .file_name()
        .and_then(OsStr::to_str)
        .unwrap_or("");
    let by_name = ["redis-", "valkey-", "holdfast-"]
        .iter()
        .find_map(|prefix| called.strip_prefix(prefix))
        .filter(|name| name.starts_with("check-") && TOOLS.contains(name));
    if let Some(name) = by_name {
        let rest = args[1..].iter().cloned();
        return Some([program.clone(), name.into()].into_iter().chain(rest).collect());
    }
    let first = args.get(1)?.to_str()?;
    TOOLS.contains(&first).then(|| args.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(args: &[&str]) -> Option<Vec<String>> {
        let args: Vec<OsString> = args.iter().map(Into::into).collect();
        let text = |arg: OsString| arg.into_string().expect("text");
        tool_arguments(&args).map(|args| args.into_iter().map(text).collect())
    }

    #[test]
    fn a_tool_is_named_by_the_first_argument_or_the_program() {
        let check = vec!["holdfast".to_owned(), "check-rdb".into(), "x".into()];
        assert_eq!(words(&["holdfast", "check-rdb", "x"]), Some(check));
        for program in ["redis-check-aof", "/usr/bin/valkey-check-aof"] {
            assert_eq!(words(&[program, "x"]).unwrap()[1..], ["check-aof", "x"]);
        }
        for server in [
            &["holdfast"][..],
            &["holdfast", "holdfast.conf"],
            &["holdfast", "./check-rdb"],
            &["redis-server", "--port", "1"],
            &["holdfast-encrypt", "x"],
            &[],
        ] {
            assert_eq!(words(server), None, "{server:?}");
        }
    }
}
