//! Every command that the server lists is called in a transcript.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::words;

/// Commands without a transcript, and why. The list may only become shorter.
const WITHOUT: &[(&str, &str)] = &[("migrate", "it needs a second server: tests of its own")];

#[test]
fn every_command_has_a_transcript() -> Result<()> {
    let server = Server::start(Role::Subject, &Options::new())?;
    if server.binary().is_redis() {
        return Ok(()); // it knows commands that are still to come
    }
    let listed = listed(&server)?;
    let called = called()?;
    let without: BTreeSet<String> = WITHOUT.iter().map(|(name, _)| (*name).to_owned()).collect();
    let missing: Vec<&String> = listed
        .difference(&called)
        .filter(|name| !without.contains(*name))
        .collect();
    assert!(missing.is_empty(), "no transcript calls {missing:?}");
    let stale: Vec<&String> = without
        .iter()
        .filter(|name| called.contains(*name) || !listed.contains(*name))
        .collect();
    assert!(stale.is_empty(), "the table of this test is to lose {stale:?}");
    Ok(())
}

/// Names of commands, `container|subcommand` for those of containers.
fn listed(server: &Server) -> Result<BTreeSet<String>> {
    const SUBCOMMANDS: usize = 9;
    let mut names = BTreeSet::new();
    let commands = server.connect()?.call(&["COMMAND"])?;
    for command in commands.elements().unwrap_or_default() {
        let fields = command.elements().unwrap_or_default();
        let subcommands = fields
            .get(SUBCOMMANDS)
            .and_then(|list| list.elements())
            .unwrap_or_default();
        if subcommands.is_empty() {
            names.extend(fields.first().and_then(|name| name.text()).map(str::to_owned));
        }
        for subcommand in subcommands {
            let fields = subcommand.elements().unwrap_or_default();
            names.extend(fields.first().and_then(|name| name.text()).map(str::to_owned));
        }
    }
    anyhow::ensure!(names.len() > 200, "COMMAND lists only {} names", names.len());
    Ok(names)
}

/// Names that the transcripts call: each as a command, and as a container with its first argument.
fn called() -> Result<BTreeSet<String>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut names = BTreeSet::new();
    for dir in [dir.join("newer"), dir] {
        for entry in std::fs::read_dir(&dir).with_context(|| format!("listing {}", dir.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "txt") {
                for line in std::fs::read_to_string(&path)?.lines() {
                    let asked = line.trim_start_matches(|c: char| c.is_ascii_digit());
                    let Some(asked) = asked.strip_prefix("> ") else {
                        continue;
                    };
                    let words = words::split(asked).with_context(|| format!("{}: {line}", path.display()))?;
                    let word = |i: usize| {
                        words
                            .get(i)
                            .map(|word: &Vec<u8>| String::from_utf8_lossy(word).to_lowercase())
                    };
                    names.extend(word(0));
                    names.extend(word(0).zip(word(1)).map(|(name, sub)| format!("{name}|{sub}")));
                }
            }
        }
    }
    Ok(names)
}
