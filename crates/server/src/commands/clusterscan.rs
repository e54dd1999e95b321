//! CLUSTERSCAN: a walk over the keys of a whole cluster, whichever nodes have them, while slots move and nodes fail over:
//! <https://valkey.io/commands/clusterscan/>. The cursor's hash tag has clients ask the right node.
//!
//! ```text
//! cursor:   fingerprint-{tag}-within.step.last      0-{tag}-0: a slot, and what follows it, begins
//! ```
//!
//! A walk goes over all slots in a row that a node has, from that of the tag to `last`. Their keys are in shards of the
//! keyspace, which are visited one after the other (`step`). If a slot of the row goes away in the middle, the row ends before
//! it, and a new one begins with it where it is then; all begins anew with the tag's slot if the fingerprint is another
//! process's. So keys may come twice, and none is left out that was there all the time.
//!
//! Must not know: how nodes agree.

use std::sync::{Arc, OnceLock};

use holdfast_cluster::SLOTS;
use holdfast_cluster::state::{Route, View};
use holdfast_commands::ScanOptions;
use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group as Family, KeySpec, Spec};
use holdfast_resp::Reply;
use holdfast_storage::keyspace::{Keyspace, Locked};
use holdfast_storage::slot::key_slot;

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::cluster::check;
use crate::registry::Run;
use crate::session::Flow;

/// The command.
pub const COMMANDS: &[&ServerCommand] = &[&CLUSTERSCAN];

const CLUSTERSCAN: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "clusterscan",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: NOT_KEY))],
        group: Family::Cluster,
        since: "9.1.0",
        summary: "Walks over the names of the keys of all nodes, some per call.",
        complexity: "O(1) per call, O(N) for a whole walk over N keys",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::string("cursor"),
            Arg::pattern("pattern").token("MATCH").opt(),
            Arg::integer("count").token("COUNT").opt(),
            Arg::string("type").token("TYPE").opt(),
            Arg::integer("slot").token("SLOT").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(scan),
};

/// Where a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    /// Whose cursor within a table it is; 0: nobody's, as it begins.
    fingerprint: u64,
    /// The slot of the tag: the first of the row.
    slot: u16,
    /// Within the shard's table.
    within: u64,
    /// Shards of the row that were visited.
    step: u16,
    /// The last slot of the row.
    last: u16,
}

impl Cursor {
    /// The begin of a row.
    fn begin(slot: u16) -> Self {
        Self {
            fingerprint: 0,
            slot,
            within: 0,
            step: 0,
            last: slot,
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (fingerprint, rest) = text.split_once("-{")?;
        let (tag, local) = rest.split_once("}-")?;
        if tag.is_empty() {
            return None;
        }
        let slot = key_slot(tag.as_bytes());
        let fingerprint = u64::from_str_radix(fingerprint, 16).ok()?;
        if local == "0" {
            return (fingerprint == 0).then(|| Self::begin(slot));
        }
        let mut parts = local.split('.');
        let cursor = Self {
            fingerprint,
            slot,
            within: parts.next()?.parse().ok()?,
            step: parts.next()?.parse().ok()?,
            last: parts.next()?.parse().ok()?,
        };
        let fits = (slot..SLOTS).contains(&cursor.last)
            && cursor.step <= cursor.last - slot
            && parts.next().is_none();
        fits.then_some(cursor)
    }

    fn print(&self) -> String {
        let tag = &tags()[usize::from(self.slot)];
        match self.fingerprint {
            0 => format!("0-{{{tag}}}-0"),
            fingerprint => format!(
                "{fingerprint:x}-{{{tag}}}-{}.{}.{}",
                self.within, self.step, self.last
            ),
        }
    }
}

/// A short hash tag for each slot.
fn tags() -> &'static [String] {
    static TAGS: OnceLock<Vec<String>> = OnceLock::new();
    TAGS.get_or_init(|| {
        const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut tags = vec![String::new(); usize::from(SLOTS)];
        let mut missing = tags.len();
        let mut length = 1;
        // Words of three letters reach every slot; the test says so.
        while missing > 0 && length <= 4 {
            for mut n in 0..LETTERS.len().pow(length) {
                let mut word = vec![0; length as usize];
                for letter in word.iter_mut().rev() {
                    *letter = LETTERS[n % LETTERS.len()];
                    n /= LETTERS.len();
                }
                let tag = &mut tags[usize::from(key_slot(&word))];
                if tag.is_empty() {
                    *tag = String::from_utf8_lossy(&word).into_owned();
                    missing -= 1;
                }
            }
            length += 1;
        }
        tags
    })
}

/// Whose cursors these are: a walk within a table goes by the hashes of this process.
fn fingerprint(keyspace: &Keyspace) -> u64 {
    (keyspace.table_hash(b"whose cursor is it?") & 0xff_ffff).max(1)
}

fn scan(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let Some(cluster) = server.cluster.get() else {
        return Err(ServerError::new("ERR This instance has cluster support disabled"));
    };
    let (options, slot) = ScanOptions::parse_with_slot(args.cursor(2))?;
    let slot = slot
        .map(|slot| {
            u16::try_from(slot)
                .ok()
                .filter(|slot| *slot < SLOTS)
                .ok_or_else(|| ServerError::new("ERR Invalid or out of range slot"))
        })
        .transpose()?;
    if args.get(1) == b"0" {
        let slot_or_first = slot.unwrap_or(0);
        answer(call, &Cursor::begin(slot_or_first).print(), 0, &[]);
        return Ok(Flow::Continue);
    }
    let cursor = Cursor::parse(args.get(1)).ok_or_else(|| ServerError::new("ERR invalid cursor"))?;
    if slot.is_some_and(|slot| slot != cursor.slot) {
        return Err(ServerError::new("ERR the cursor is another slot's"));
    }
    let (entry, frame) = (call.entry, args.frame());
    let mut keys = Reply::new(Vec::new(), call.w.reply.proto());
    let mut walk = Walk {
        keyspace: &server.keyspace,
        options: &options,
        db: call.session.db as usize,
        now_ms: call.w.now_ms,
        alone: slot.is_some(),
        mine: fingerprint(&server.keyspace),
        at: cursor,
        found: 0,
        steps: options.count.saturating_mul(10),
    };
    let (session, w) = (&*call.session, &mut *call.w);
    let mut visit = |walk: &mut Walk<'_>, locked: &mut Locked<'_>| {
        // Once more with the shard locked: who takes a slot away waits for the lock.
        check::locked_command(session, w, entry, &frame, locked)
            .map_err(|redirect| ServerError(redirect.text()))?;
        walk.visit(&cluster.view(), locked, &mut keys)
    };
    let next = loop {
        let shard = server.keyspace.shard_of(walk.at.slot + walk.at.step);
        let visited = match call.locked.as_deref_mut() {
            Some(locked) => visit(&mut walk, locked),
            None => visit(&mut walk, &mut server.keyspace.lock_one(shard)),
        };
        match visited {
            Ok(Visited::More) => {}
            Ok(Visited::Enough(next)) => break next,
            // What was found before is told; who asks again is told why.
            Err(_) if walk.found > 0 => break Some(walk.at),
            Err(error) => return Err(error),
        }
    };
    let next = next.map_or_else(|| "0".to_owned(), |next| next.print());
    let found = walk.found;
    answer(call, &next, found, keys.as_bytes());
    Ok(Flow::Continue)
}

fn answer(call: &mut Call<'_, '_>, cursor: &str, found: usize, keys: &[u8]) {
    let reply = &mut call.w.reply;
    reply.array(2);
    reply.bulk(cursor.as_bytes());
    reply.array(found);
    reply.raw(keys);
}

struct Walk<'a> {
    keyspace: &'a Keyspace,
    options: &'a ScanOptions<'a>,
    db: usize,
    now_ms: i64,
    /// SLOT: the row is one slot.
    alone: bool,
    /// This process's fingerprint.
    mine: u64,
    at: Cursor,
    found: usize,
    /// Buckets that may still be visited.
    steps: usize,
}

/// What comes after a shard.
enum Visited {
    /// The next shard.
    More,
    /// The reply, with the cursor; None at the end.
    Enough(Option<Cursor>),
}

impl Walk<'_> {
    /// Looks at the row's shard where the walk is; it is locked, and the row's first slot is this node's.
    fn visit(
        &mut self,
        view: &View,
        locked: &mut Locked<'_>,
        keys: &mut Reply,
    ) -> Result<Visited, ServerError> {
        if !serves_whole(view, self.at.slot) {
            // Keys that have left already would be left out.
            return Err(ServerError::new(
                "TRYAGAIN Keys of the slot are on their way to another node",
            ));
        }
        if self.at.fingerprint != self.mine {
            let first = self.at.slot;
            self.at = Cursor {
                fingerprint: self.mine,
                last: if self.alone { first } else { SLOTS - 1 },
                ..Cursor::begin(first)
            };
        }
        let served = (self.at.slot..=self.at.last).take_while(|slot| serves_whole(view, *slot));
        self.at.last = served.last().unwrap_or(self.at.slot);
        let shards = (self.at.last - self.at.slot + 1).min(self.keyspace.shard_count() as u16);
        while self.at.step < shards {
            let shard = self.keyspace.shard_of(self.at.slot + self.at.step);
            if !locked.holds(shard) {
                return Ok(Visited::More);
            }
            self.look(shard, locked, keys);
            if self.at.within != 0 || self.found >= self.options.count || self.steps == 0 {
                break;
            }
        }
        if self.at.step < shards {
            return Ok(Visited::Enough(Some(self.at)));
        }
        let next = self.at.last + 1;
        let ends = self.alone || next == SLOTS;
        Ok(Visited::Enough((!ends).then(|| Cursor::begin(next))))
    }

    /// Goes on in a shard, to its end or until it is enough.
    fn look(&mut self, shard: u16, locked: &Locked<'_>, keys: &mut Reply) {
        let table = &locked.look(shard).dbs[self.db].table;
        let (options, now_ms, row) = (self.options, self.now_ms, self.at.slot..=self.at.last);
        while !table.is_empty() && self.steps > 0 && self.found < options.count {
            let found = &mut self.found;
            self.at.within = table.scan(self.at.within, |entry| {
                let live = entry.expire_at_ms().is_none_or(|at| at > now_ms);
                let right_kind = |name: &[u8]| name.eq_ignore_ascii_case(entry.kind().name().as_bytes());
                if row.contains(&key_slot(entry.key()))
                    && live
                    && options.kind().is_none_or(right_kind)
                    && options.matches(entry.key())
                {
                    keys.bulk(entry.key());
                    *found += 1;
                }
            });
            self.steps -= 1;
            if self.at.within == 0 {
                break;
            }
        }
        if self.at.within == 0 || table.is_empty() {
            self.at.within = 0;
            self.at.step += 1;
        }
    }
}

/// Whether all keys of the slot are here.
fn serves_whole(view: &View, slot: u16) -> bool {
    let here = matches!(view.route(slot), Route::Mine { migrating_to: None });
    here && !(view.is_primary() && view.holds && view.held.contains(slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_tag_of_its_own_slot() {
        for (slot, tag) in tags().iter().enumerate() {
            assert!((1..=3).contains(&tag.len()), "slot {slot}: {tag:?}");
            assert_eq!(usize::from(key_slot(tag.as_bytes())), slot);
            assert_eq!(usize::from(key_slot(format!("0-{{{tag}}}-0").as_bytes())), slot);
        }
    }

    #[test]
    fn cursors_come_back_and_others_are_refused() {
        let on_its_way = Cursor {
            fingerprint: 0xabc,
            slot: 5,
            within: u64::MAX,
            step: 511,
            last: 16_383,
        };
        for cursor in [Cursor::begin(0), Cursor::begin(16_383), on_its_way] {
            let text = cursor.print();
            assert_eq!(Cursor::parse(text.as_bytes()), Some(cursor), "{text}");
        }
        for text in [
            "",
            "1",
            "-1",
            "0-{}-0",
            "0-{a}",
            "0-{a}-",
            "x-{a}-0",
            "1-{a}-0",
            "0-{a}-0.1",
            "0-{a}-0.1.2",
            "0-{a}--1",
            "1-{06S}-0.0.16384",
            "1-{06S}-0.0.1.1",
            "1-{06S}-0.70000.1",
            "1-{06S}-0.16384.1",
        ] {
            assert_eq!(Cursor::parse(text.as_bytes()), None, "{text}");
        }
    }
}
