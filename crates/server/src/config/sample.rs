//! The sample configuration file, derived from the table.

use super::params::Param;
use super::row::{Choice, Kind, Mutability, Row, Status};
use super::value::{file_lines, print_memory};
use super::{Config, Value};

/// Width of the comments.
const COLUMNS: usize = 100;

const HEAD: &str = "\
# Holdfast: sample configuration.
#
# This file is printed by `holdfast --print-default-config`. Every directive has its default value here; those that
# have none, or whose default depends on the machine, stand behind a `#` without a space. A redis.conf works as it is.
#
# One directive a line: a name and its values. A value with spaces stands in quotes. Memory takes units: 1k is 1000
# bytes, 1kb is 1024, and so on with m, mb, g and gb. Of repeated lines the last one counts; save and
# client-output-buffer-limit add up. CONFIG SET changes a directive while the server runs, unless it says
# \"fixed at start\"; CONFIG REWRITE writes the changes into the file.
";

const IGNORED: &str = "\
# Accepted for the sake of existing files, without effect here
# ------------------------------------------------------------
";

/// A commented configuration file with every default.
pub fn sample_conf() -> String {
    let defaults = Config::default();
    let mut text = HEAD.to_owned();
    let shown = |param: &Param| !param.row().hidden;
    for param in Param::ALL.iter().copied().filter(shown) {
        if param.row().status == Status::Used {
            add_row(&mut text, param, &defaults);
        }
    }
    text.push('\n');
    text.push_str(IGNORED);
    for param in Param::ALL.iter().copied().filter(shown) {
        if let Status::Ignored(reason) = param.row().status {
            text.push_str(&format!("\n# Ignored: {reason}.\n"));
            for words in default_lines(param.row(), &defaults.value(param)) {
                text.push_str(&format!("#{} {words}\n", param.name()));
            }
        }
    }
    text
}

fn add_row(text: &mut String, param: Param, defaults: &Config) {
    let row = param.row();
    text.push('\n');
    for line in wrap(&describe(row), COLUMNS - 2) {
        text.push_str(&format!("# {line}\n"));
    }
    if row.kind.is_file_only() {
        let words = if param == Param::RenameCommand {
            "FLUSHALL \"\""
        } else {
            "..."
        };
        text.push_str(&format!("#{} {words}\n", row.name));
        return;
    }
    let silent = row.default.is_empty() && !matches!(row.kind, Kind::Notify) || row.computed.is_some();
    for words in default_lines(row, &defaults.value(param)) {
        text.push_str(if silent { "#" } else { "" });
        text.push_str(&format!("{} {words}\n", row.name));
    }
}

/// The default as it stands in a file; `dir` as it is written, not where this process runs.
fn default_lines(row: &Row, value: &Value) -> Vec<String> {
    if matches!(row.kind, Kind::Directory) {
        return vec![row.default.to_owned()];
    }
    if row.computed.is_some() {
        return vec!["4".to_owned()];
    }
    file_lines(row, value)
        .into_iter()
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}

fn describe(row: &Row) -> String {
    let mut text = row.doc.to_owned();
    let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
    match row.kind {
        Kind::Choice(choices) => text.push_str(&format!(" One of: {}.", names(choices))),
        Kind::Flags(choices) => text.push_str(&format!(" Any of: {}.", names(choices))),
        Kind::Int {
            min: least,
            max: most,
        } if most < max && least > min => {
            text.push_str(&format!(" Range: {least} to {most}."));
        }
        Kind::Memory { min: least, .. } if least > 1 => {
            let least = print_memory(i64::try_from(least).unwrap_or(i64::MAX));
            text.push_str(&format!(" At least {least}."));
        }
        Kind::Int { .. }
        | Kind::Memory { .. }
        | Kind::Bool
        | Kind::MemoryOrPercent
        | Kind::Octal { .. }
        | Kind::Text
        | Kind::Secret
        | Kind::Directory
        | Kind::Words { .. }
        | Kind::ReplicaOf
        | Kind::Save
        | Kind::OutputLimits
        | Kind::Notify
        | Kind::OomScores
        | Kind::Percentiles
        | Kind::Lines { .. } => {}
    }
    if let Some(alias) = row.alias {
        text.push_str(&format!(" Also: {alias}."));
    }
    match row.mutability {
        Mutability::Immutable => text.push_str(" Fixed at start."),
        Mutability::Protected => text.push_str(" CONFIG SET needs enable-protected-configs."),
        Mutability::Mutable => {}
    }
    text
}

fn names(choices: &[Choice]) -> String {
    choices
        .iter()
        .map(|choice| choice.name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Lines of at most `width` columns, broken at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always one line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    /// With this variable set the test writes the file instead of comparing it.
    const UPDATE: &str = "HOLDFAST_UPDATE_SAMPLE";

    #[test]
    fn the_file_in_the_repository_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../holdfast.conf");
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(path, sample_conf()).unwrap();
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            checked_in == sample_conf(),
            "holdfast.conf is out of date: run this test with {UPDATE}=1"
        );
    }

    #[test]
    fn it_reads_as_the_defaults() {
        let mut settings = Settings::default();
        settings.read_text("sample", sample_conf().as_bytes()).unwrap();
        let (read, defaults) = (Config::from_settings(settings), Config::default());
        for &param in Param::ALL {
            assert_eq!(read.value(param), defaults.value(param), "{}", param.name());
        }
    }

    #[test]
    fn lines_behind_a_hash_are_good_once_the_hash_is_gone() {
        let text = sample_conf();
        // Prose has a space behind the hash.
        let commented = text.lines().filter_map(|line| line.strip_prefix('#'));
        let mut count = 0;
        for line in
            commented.filter(|line| !line.starts_with(' ') && !line.is_empty() && !line.ends_with("..."))
        {
            count += 1;
            let mut settings = Settings::default();
            settings.read_text("sample", line.as_bytes()).unwrap();
        }
        assert!(count > 40, "{count}");
    }
}
