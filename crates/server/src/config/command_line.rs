//! The command line, as redis-server understands it: `[FILE] [--directive value ...] [-]`.
//!
//! The file comes first, then standard input (`-`, first or last), then the options, each over the one before.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Config;
use super::file::{LoadError, Settings};
use super::words;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run the server.
    Run {
        /// With this configuration.
        config: Box<Config>,
    },
    /// Print [`version_line`].
    Version,
    /// Print [`help_text`].
    Help,
    /// Print the sample configuration file.
    SampleConfig,
}

/// Reads the arguments (without the program's name), and the files that they name.
///
/// # Errors
/// Where a file cannot be read or a directive is wrong. The caller prints the error to standard error and exits
/// with 1.
pub fn parse_command_line(args: &[OsString], stdin: &mut dyn Read) -> Result<Invocation, LoadError> {
    match args.first().map(|arg| arg.as_bytes()) {
        Some(b"-v" | b"--version") => return Ok(Invocation::Version),
        Some(b"-h" | b"--help") => return Ok(Invocation::Help),
        Some(b"--print-default-config") => return Ok(Invocation::SampleConfig),
        _ => {}
    }
    let mut settings = Settings::default();
    let mut rest = args;
    if let Some((first, after)) = args.split_first()
        && !first.as_bytes().starts_with(b"-")
    {
        settings.read_file(Path::new(first))?;
        rest = after;
    }
    let is_stdin = |index: usize| rest[index].as_bytes() == b"-" && (index == 0 || index + 1 == rest.len());
    let from_stdin = (0..rest.len()).any(is_stdin);
    let words = rest.iter().enumerate().filter(|(index, _)| !is_stdin(*index));
    let options = option_lines(&words.map(|(_, word)| word.as_bytes()).collect::<Vec<_>>());
    if from_stdin {
        settings.read_stream(stdin)?;
    }
    settings.read_text("command line", &options)?;
    settings.check()?;
    Ok(Invocation::Run {
        config: Box::new(Config::from_settings(settings)),
    })
}

/// The options as lines of a configuration file.
///
/// `--name` opens a line. If it is one word, the next argument is its value whatever it looks like; `--save` alone
/// means no save points. Values are quoted, so that each stays one word.
fn option_lines(args: &[&[u8]]) -> Vec<u8> {
    let mut text: Vec<u8> = Vec::new();
    let mut value_due = false;
    for (index, arg) in args.iter().enumerate() {
        match arg.strip_prefix(b"--") {
            Some(option) if !value_due => {
                if index > 0 {
                    text.push(b'\n');
                }
                text.extend_from_slice(option);
                text.push(b' ');
                let one_word = holdfast_resp::split_args(option).is_some_and(|words| words.len() == 1);
                let next_is_option = args.get(index + 1).is_none_or(|next| next.starts_with(b"--"));
                if option.eq_ignore_ascii_case(b"save") && next_is_option {
                    text.extend_from_slice(b"\"\"");
                } else {
                    value_due = one_word;
                }
            }
            _ => {
                value_due = false;
                text.extend(words::quote(arg));
                text.push(b' ');
            }
        }
    }
    text
}

/// The line of `--version`, in the form that tools parse.
pub fn version_line() -> String {
    format!(
        "Holdfast server v={} sha={}:0 malloc=jemalloc bits={} build={}",
        env!("CARGO_PKG_VERSION"),
        option_env!("HOLDFAST_GIT_SHA").unwrap_or("00000000"),
        usize::BITS,
        option_env!("HOLDFAST_BUILD_ID").unwrap_or("0"),
    )
}

/// The text of `--help`.
pub fn help_text() -> &'static str {
    "Usage: holdfast [FILE] [--DIRECTIVE VALUE ...] [-]\n\
     \x20      holdfast check-rdb|check-aof|encrypt|decrypt|generate-key|healthcheck ...   (--help says more)\n\
     \n\
     \x20 FILE                    read this configuration file (the format of redis.conf)\n\
     \x20 --DIRECTIVE VALUE ...   set a directive, over what the file says\n\
     \x20 -                       read a configuration from standard input\n\
     \x20 --print-default-config  print a commented configuration with every default\n\
     \x20 -v, --version           print the version\n\
     \x20 -h, --help              print this text\n\
     \n\
     Examples:\n\
     \x20 holdfast\n\
     \x20 holdfast /etc/holdfast.conf --port 7777 --replicaof 127.0.0.1 6379\n\
     \x20 echo 'maxmemory 128mb' | holdfast -\n"
}
