//! Waiting for what servers and threads do: a look at once, then after 1 ms, 2 ms, 4 ms and so on, at most 20 ms between two
//! looks. Whoever waits leaves the cores to those that are waited for. Knows nothing of servers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long anything that is waited for may take on a machine that is busy with other things, or does not run at all for
/// some tens of seconds, as a virtual one may.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Looks again and again until it is so.
///
/// # Errors
/// It never was; the message says what. Or what `is_so` failed with.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_for(what, || Ok(is_so()?.then_some(())))
}

/// Looks again and again until something is found.
///
/// # Errors
/// As for [`wait_until`].
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_within(PATIENCE, what, look)
}

/// [`wait_for`] with a patience of its own.
///
/// # Errors
/// As for [`wait_until`].
pub fn wait_within<T>(patience: Duration, what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    look_for(patience, look)
        .with_context(|| what.to_owned())?
        .with_context(|| format!("waited in vain for {patience:?}: {what}"))
}

/// How long it takes until it is so. Looks without a pause, which may be longer than what is measured: each look has to be a
/// question to a server, so that waiting for the answer is the pause.
///
/// # Errors
/// As for [`wait_until`].
pub fn time_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let began = Instant::now();
    while !is_so().with_context(|| what.to_owned())? {
        ensure!(
            began.elapsed() < PATIENCE,
            "waited in vain for {PATIENCE:?}: {what}"
        );
    }
    Ok(began.elapsed())
}

/// Looks again and again until something is found; None if nothing was within `patience`.
///
/// # Errors
/// What `look` failed with.
pub fn look_for<T>(patience: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let deadline = Instant::now() + patience;
    let mut pauses = Pauses::default();
    loop {
        let found = look()?;
        if found.is_some() || Instant::now() >= deadline {
            return Ok(found);
        }
        pauses.rest();
    }
}

/// The pauses between the looks of a loop that cannot be told as [`look_for`].
#[derive(Debug, Default)]
pub struct Pauses {
    taken: u32,
}

impl Pauses {
    const LONGEST: Duration = Duration::from_millis(20);

    /// Takes the next pause.
    pub fn rest(&mut self) {
        std::thread::sleep(self.next());
    }

    fn next(&mut self) -> Duration {
        let pause = Duration::from_millis(1 << self.taken.min(8));
        self.taken += 1;
        pause.min(Self::LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_limit() {
        let mut pauses = Pauses::default();
        let first: Vec<u128> = (0..7).map(|_| pauses.next().as_millis()).collect();
        assert_eq!(first, [1, 2, 4, 8, 16, 20, 20]);
    }

    #[test]
    fn what_is_there_is_found_at_once_and_what_never_comes_is_named() {
        let found = look_for(Duration::ZERO, || Ok(Some(7)));
        assert_eq!(found.unwrap(), Some(7));
        let mut looks = 0;
        let error = wait_within(Duration::from_millis(50), "the moon falls", || {
            looks += 1;
            Ok(None::<()>)
        });
        assert!(format!("{:#}", error.unwrap_err()).contains("the moon falls"));
        // After 0, 1, 3, 7, 15, 31 and 51 ms at the earliest.
        assert!(looks <= 7, "{looks}");
    }
}
