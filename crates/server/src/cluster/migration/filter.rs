//! The part of the replication log that is about some slots: commands about other slots, about no key, and signs of life are
//! left out; a transaction stays one. Commands that change slots of both kinds at once have no such part, and are an error:
//! whoever reads begins anew, with a snapshot that has them behind it.
//!
//! Must not know: where the log comes from, where the part goes.

use holdfast_cluster::SlotSet;
use holdfast_commands::key_positions::{KeyRefs, find_keys};
use holdfast_commands::spec::KeyFlags;
use holdfast_resp::{CommandDecoder, DecodeLimits, DecodeScratch, Frame, encode_command, parse_i64};
use holdfast_storage::slot::key_slot;

use crate::registry::Registry;

/// Why a part of the log cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPart {
    /// Everything has gone at once (FLUSHALL, FLUSHDB), or databases have changed places.
    #[error("{0} changed the data as a whole")]
    Whole(String),
    /// A command about slots that travel and others that do not.
    #[error("{0} changed slots that migrate together with others")]
    Straddles(String),
    /// A command that this server does not know: a mistake of this program.
    #[error("the log has a command that is not known: {0}")]
    Unknown(String),
    /// What is read is no log: a mistake of this program.
    #[error("the log cannot be read: {0}")]
    Malformed(String),
}

/// A transaction that has begun, as far as it belongs to the part.
#[derive(Debug, Default)]
struct Transaction {
    bytes: Vec<u8>,
    commands: usize,
    /// The database that is selected for the reader, should the transaction come to be sent.
    selected: Option<u32>,
}

/// Reads the log from a place on, in pieces of any size.
#[derive(Debug)]
pub struct Filter {
    slots: SlotSet,
    decoder: CommandDecoder,
    scratch: DecodeScratch,
    limits: DecodeLimits,
    /// The database that the log has selected, ...
    db: u32,
    /// ... and the reader of the part.
    selected: Option<u32>,
    transaction: Option<Transaction>,
}

impl Filter {
    /// For these slots. `db`: the database that is selected where reading begins.
    pub fn new(slots: SlotSet, db: u32) -> Self {
        // What is in the log has been let in once; only memory limits it.
        let limits = DecodeLimits {
            max_bulk_len: usize::MAX,
            max_query_buffer: usize::MAX,
            authenticated: true,
            ..DecodeLimits::default()
        };
        Self {
            slots,
            decoder: CommandDecoder::new(),
            scratch: DecodeScratch::default(),
            limits,
            db,
            selected: None,
            transaction: None,
        }
    }

    /// Whether the next byte begins a command that is in no transaction.
    pub fn is_between_commands(&self) -> bool {
        self.transaction.is_none() && self.decoder.buffered() == 0
    }

    /// Takes the next bytes of the log and appends what belongs to the part to `out`.
    ///
    /// # Errors
    /// See [`NoPart`]; the filter is of no use afterwards.
    pub fn take(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), NoPart> {
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = loop {
            match decoder.next(&mut input, &mut scratch, &self.limits) {
                Ok(Some(frame)) => {
                    if let Err(error) = self.command(&frame, out) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(NoPart::Malformed(error.to_string())),
            }
        };
        self.decoder = decoder;
        self.scratch = scratch;
        result
    }

    fn command(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<(), NoPart> {
        let shown = || String::from_utf8_lossy(frame.name()).into_owned();
        let entry = Registry::get()
            .resolve(frame)
            .map_err(|_| NoPart::Unknown(shown()))?;
        match entry.spec.name {
            "select" => {
                let db = frame.get(1).and_then(parse_i64);
                self.db = db
                    .and_then(|db| u32::try_from(db).ok())
                    .ok_or_else(|| NoPart::Malformed("SELECT of no database".to_owned()))?;
                return Ok(());
            }
            "multi" => {
                self.transaction = Some(Transaction {
                    selected: self.selected,
                    ..Transaction::default()
                });
                return Ok(());
            }
            "exec" => {
                let done = self.transaction.take().unwrap_or_default();
                if done.commands > 0 {
                    encode_command(out, &[b"MULTI"]);
                    out.extend_from_slice(&done.bytes);
                    encode_command(out, &[b"EXEC"]);
                    self.selected = done.selected;
                }
                return Ok(());
            }
            "discard" => {
                self.transaction = None;
                return Ok(());
            }
            "flushall" | "flushdb" | "swapdb" => return Err(NoPart::Whole(shown())),
            _ => {}
        }
        let mut keys = KeyRefs::new();
        // What is in the log has run, so that its arguments fit.
        let _fits = find_keys(entry.spec, frame, &mut keys);
        let keys = keys.iter().filter(|key| !key.flags.has(KeyFlags::NOT_KEY));
        let (mut inside, mut outside) = (Vec::new(), false);
        for key in keys {
            let key = frame.arg(key.index as usize);
            if self.slots.contains(key_slot(key)) {
                inside.push(key);
            } else {
                outside = true;
            }
        }
        if inside.is_empty() {
            return Ok(());
        }
        if !outside {
            self.put(frame, out);
            return Ok(());
        }
        // Keys that go away together need not have anything else in common.
        if matches!(entry.spec.name, "del" | "unlink") {
            let words: Vec<&[u8]> = [&b"DEL"[..]].into_iter().chain(inside).collect();
            let some = holdfast_resp::OwnedFrame::from_args(words);
            if let Some(some) = some.frame() {
                self.put(&some, out);
            }
            return Ok(());
        }
        Err(NoPart::Straddles(shown()))
    }

    /// Appends a command to the part, in the database that it was made for.
    fn put(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let (out, selected) = match &mut self.transaction {
            Some(transaction) => {
                transaction.commands += 1;
                (&mut transaction.bytes, &mut transaction.selected)
            }
            None => (out, &mut self.selected),
        };
        if selected.replace(self.db) != Some(self.db) {
            encode_command(out, &[b"SELECT", self.db.to_string().as_bytes()]);
        }
        match frame.raw() {
            Some(raw) => out.extend_from_slice(raw),
            None => encode_command(out, &frame.iter().collect::<Vec<_>>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `{a}` is in slot 15495, `{b}` in 3300.
    fn of_a() -> Filter {
        Filter::new(SlotSet::from_iter([15495]), 0)
    }

    fn log(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            encode_command(&mut bytes, &words);
        }
        bytes
    }

    fn lines(mut bytes: &[u8]) -> Vec<String> {
        let (mut decoder, mut scratch) = (CommandDecoder::new(), DecodeScratch::default());
        let mut lines = Vec::new();
        while let Some(frame) = decoder
            .next(&mut bytes, &mut scratch, &DecodeLimits::default())
            .unwrap()
        {
            let words: Vec<_> = frame
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            lines.push(words.join(" "));
        }
        lines
    }

    fn part(commands: &[&str]) -> Result<Vec<String>, NoPart> {
        let (mut filter, mut out) = (of_a(), Vec::new());
        filter.take(&log(commands), &mut out)?;
        assert!(filter.is_between_commands());
        Ok(lines(&out))
    }

    #[test]
    fn only_commands_about_the_slots_are_kept() {
        let kept = part(&[
            "SELECT 0",
            "SET {a}1 x",
            "SET {b}1 x",
            "PING",
            "REPLCONF GETACK *",
            "PUBLISH a x",
            "SPUBLISH a x",
            "FUNCTION DELETE a",
            "SCRIPT FLUSH",
            "ZADD {a}z 1 m",
            "XGROUP CREATE {a}s g 0 MKSTREAM",
            "XGROUP CREATE {b}s g 0 MKSTREAM",
        ]);
        let wanted = [
            "SELECT 0",
            "SET {a}1 x",
            "ZADD {a}z 1 m",
            "XGROUP CREATE {a}s g 0 MKSTREAM",
        ];
        assert_eq!(kept.unwrap(), wanted);
    }

    #[test]
    fn a_database_is_selected_where_it_changes_for_the_part() {
        let kept = part(&[
            "SET {a}1 x",
            "SELECT 3",
            "SET {b}1 x",
            "SELECT 0",
            "SET {a}2 x",
            "SELECT 3",
            "SET {a}3 x",
        ]);
        let wanted = ["SELECT 0", "SET {a}1 x", "SET {a}2 x", "SELECT 3", "SET {a}3 x"];
        assert_eq!(kept.unwrap(), wanted);
    }

    #[test]
    fn a_transaction_stays_one() {
        let kept = part(&[
            "MULTI",
            "SET {b}1 x",
            "EXEC", // nothing of it
            "MULTI",
            "SET {b}1 x",
            "SET {a}1 x",
            "SELECT 2",
            "SET {a}2 x",
            "EXEC",
            "SET {a}3 x",
        ]);
        let wanted = [
            "MULTI",
            "SELECT 0",
            "SET {a}1 x",
            "SELECT 2",
            "SET {a}2 x",
            "EXEC",
            "SET {a}3 x",
        ];
        assert_eq!(kept.unwrap(), wanted);
    }

    #[test]
    fn a_transaction_without_a_part_selects_nothing() {
        let kept = part(&[
            "MULTI",
            "SELECT 5",
            "SET {b}1 x",
            "EXEC",
            "SELECT 1",
            "SET {a}1 x",
        ]);
        assert_eq!(kept.unwrap(), ["SELECT 1", "SET {a}1 x"]);
    }

    #[test]
    fn what_has_no_part_is_an_error() {
        for whole in ["FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 1"] {
            assert!(matches!(part(&[whole]), Err(NoPart::Whole(_))), "{whole}");
        }
        for straddles in [
            "MSET {a}1 x {b}1 y",
            "RENAME {a}1 {b}1",
            "COPY {b}1 {a}1",
            "SMOVE {a}1 {b}1 m",
        ] {
            assert!(
                matches!(part(&[straddles]), Err(NoPart::Straddles(_))),
                "{straddles}"
            );
        }
        assert!(matches!(part(&["NEVERHEARD {a}1"]), Err(NoPart::Unknown(_))));
        assert!(matches!(
            of_a().take(b"*1\r\nx\r\n", &mut Vec::new()),
            Err(NoPart::Malformed(_))
        ));
    }

    #[test]
    fn keys_that_go_away_together_are_parted() {
        let kept = part(&["DEL {a}1 {b}1 {a}2", "UNLINK {b}1 {b}2", "UNLINK {a}3 {b}3"]);
        assert_eq!(kept.unwrap(), ["SELECT 0", "DEL {a}1 {a}2", "DEL {a}3"]);
    }

    #[test]
    fn a_transaction_that_is_cut_is_not_told_in_part() {
        let (mut filter, mut out) = (of_a(), Vec::new());
        filter.take(&log(&["MULTI", "SET {a}1 x"]), &mut out).unwrap();
        assert!(out.is_empty() && !filter.is_between_commands());
        filter.take(&log(&["EXEC"]), &mut out).unwrap();
        assert_eq!(lines(&out), ["MULTI", "SELECT 0", "SET {a}1 x", "EXEC"]);
        assert!(filter.is_between_commands());
    }

    proptest! {
        /// However the log is cut into reads, the part is the same.
        #[test]
        fn the_cuts_do_not_matter(
            picks in proptest::collection::vec(0usize..8, 0..40),
            cuts in proptest::collection::vec(1usize..50, 1..60),
        ) {
            let kinds = [
                "SET {a}1 x", "SET {b}1 x", "SELECT 1", "SELECT 0", "DEL {a}1 {b}1", "MULTI SET", "HSET {a}h f v", "PING",
            ];
            let mut commands = Vec::new();
            for pick in picks {
                match kinds[pick] {
                    "MULTI SET" => commands.extend(["MULTI", "SET {a}2 y", "SET {b}2 y", "EXEC"]),
                    one => commands.push(one),
                }
            }
            let bytes = log(&commands);
            let whole = part(&commands).unwrap();
            let (mut filter, mut out) = (of_a(), Vec::new());
            let (mut rest, mut sizes) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, left) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                filter.take(piece, &mut out).unwrap();
                rest = left;
            }
            prop_assert_eq!(lines(&out), whole);
        }
    }
}
