//! Log lines in the form that scripts around Redis read: `PID:M date level message`, with the fields of tracing behind.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogLevel;

/// The level now in force; CONFIG SET loglevel changes it while the server runs.
static LEVEL: AtomicU8 = AtomicU8::new(2);

/// Lines carry `S` in place of `M` while the server is a replica.
static REPLICA: AtomicBool = AtomicBool::new(false);

/// The role that lines show.
pub fn show_role(is_replica: bool) {
    REPLICA.store(is_replica, Ordering::Relaxed);
}

/// Sets the level: `debug` shows all, `verbose` and `notice` hide details, `warning` only what an operator must see.
pub fn set_level(level: LogLevel) {
    let n = match level {
        LogLevel::Debug => 4,
        LogLevel::Verbose => 3,
        LogLevel::Notice => 2,
        LogLevel::Warning => 1,
    };
    LEVEL.store(n, Ordering::Relaxed);
}

fn number(level: &Level) -> u8 {
    match *level {
        Level::ERROR | Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    }
}

/// Starts logging to a file, or to standard output if the path is empty.
///
/// # Errors
/// The file cannot be opened.
pub fn start(logfile: &str, level: LogLevel) -> io::Result<()> {
    set_level(level);
    let sink = if logfile.is_empty() {
        Sink::Stdout
    } else {
        let path = PathBuf::from(logfile);
        Sink::open(&path)?;
        Sink::File(path)
    };
    let layer = Lines {
        sink: Mutex::new(sink),
    };
    // A second server in one process (tests) goes on with the first one's log.
    let _first = tracing_subscriber::registry().with(layer).try_init();
    Ok(())
}

#[derive(Debug)]
enum Sink {
    Stdout,
    /// Opened for each line, so that a rotated log is followed as Redis follows it.
    File(PathBuf),
}

impl Sink {
    fn open(path: &PathBuf) -> io::Result<std::fs::File> {
        std::fs::OpenOptions::new().create(true).append(true).open(path)
    }

    fn write(&self, line: &str) -> io::Result<()> {
        use std::io::Write as _;
        match self {
            Self::Stdout => io::stdout().lock().write_all(line.as_bytes()),
            Self::File(path) => Self::open(path)?.write_all(line.as_bytes()),
        }
    }
}

struct Lines {
    sink: Mutex<Sink>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // What libraries say below a warning (frames of the cluster's bus) is for their authors.
        let ours = metadata.target().starts_with("holdfast") || number(metadata.level()) == 1;
        ours && number(metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mark = match *event.metadata().level() {
            Level::ERROR | Level::WARN => '#',
            Level::INFO => '*',
            Level::DEBUG => '-',
            Level::TRACE => '.',
        };
        let line = format!(
            "{}:{} {} {mark} {}{}\n",
            std::process::id(),
            if REPLICA.load(Ordering::Relaxed) { 'S' } else { 'M' },
            timestamp(),
            text.message,
            text.fields
        );
        // Nothing can be told if the log itself fails.
        let _lost = self.sink.lock().write(&line);
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _infallible = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

/// `21 Nov 2026 12:00:00.123`, UTC.
fn timestamp() -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil((now.as_secs() / 86_400) as i64);
    let s = now.as_secs() % 86_400;
    let month = MONTHS[(month - 1) as usize % 12];
    let (h, m, s, ms) = (s / 3600, s / 60 % 60, s % 60, now.subsec_millis());
    format!("{day:02} {month} {year} {h:02}:{m:02}:{s:02}.{ms:03}")
}

/// Year, month and day of a number of days since 1970-01-01 (the proleptic Gregorian calendar, counted in eras of 400
/// years that begin on 1 March, so that leap days come last).
fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_778), (2026, 11, 21));
        assert_eq!(civil(19_723), (2024, 1, 1));
    }
}
