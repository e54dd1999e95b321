//! Whether a command may run now: what is looked at before it does, and what the client is told if it may not.
//!
//! Must not know: how a command runs.

use holdfast_commands::spec::Flags;
use holdfast_resp::{Frame, Proto};

use super::multi::runs_inside_multi;
use super::{Flow, Plan, Session};
use crate::acl::{self, Origin};
use crate::cluster::{check, route};
use crate::observe;
use crate::registry::{Entry, LookupError};
use crate::worker::Worker;

/// Who was held back for a moment and let go is not held back for a moment again within so many ms: the rest of what he
/// has sent belongs to it.
const PASS_MS: i64 = 1;

/// A slot that travels here is waited for so many ms before its former owner is named. Whoever comes from there would else be
/// sent back and forth until this node has heard, too, and clients follow few redirections (go-redis three, most five).
const ARRIVAL_MS: i64 = 250;

/// How a client stands to a slot that travels here, since it has last sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// None of its commands has waited.
    NotAwaited,
    /// One waits, or did, since so many unix ms.
    AwaitedSince(i64),
    /// One has waited for as long as any may.
    InVain,
}

/// Bytes of a client's words that an error repeats.
const SHOWN: usize = 128;

impl Session {
    pub(super) fn check_and_run(&mut self, frame: Frame<'_>, plan: &mut Plan, w: &mut Worker) -> Flow {
        w.counters.commands += 1;
        let entry = match plan.found {
            Ok(entry) => entry,
            Err(LookupError::Unknown) if is_http(frame.name()) => {
                self.server.warn_of_attack(&self.client);
                // Whatever the request has provoked is of no use to a browser: nothing is sent back.
                w.reply.clear();
                return Flow::Close;
            }
            Err(LookupError::Unknown) => {
                self.note_command(usize::MAX);
                return self.reject(w, unknown_command(&frame));
            }
            Err(LookupError::UnknownSub(container)) => {
                self.note_command(usize::MAX);
                return self.reject(w, unknown_subcommand(container, frame.get(1).unwrap_or_default()));
            }
        };
        self.note_command(entry.id);
        if !entry.spec.arity_ok(frame.len()) {
            let text = format!("ERR wrong number of arguments for '{}' command", entry.spec.name);
            return self.refuse(entry, w, &text);
        }
        if self.server.is_protected(entry, &self.client) {
            return self.refuse(entry, w, &protected_text(entry));
        }
        if self.must_log_in() && !entry.is(Flags::NO_AUTH) {
            return self.refuse(entry, w, "NOAUTH Authentication required.");
        }
        if !self.is_unrestricted()
            && let Err(text) = acl::permit(self, w, entry, &frame, Origin::Client)
        {
            return self.refuse(entry, w, &text);
        }
        if w.router.is_some()
            && let Err(redirect) = check::command(self, w, entry, &frame, &mut plan.hash)
        {
            return self.redirect(entry, w, &redirect, frame);
        }
        if w.maxmemory > 0 && !self.server.make_room(w) && self.needs_memory(entry) {
            return self.refuse(
                entry,
                w,
                "OOM command not allowed when used memory > 'maxmemory'.",
            );
        }
        if let Some(text) = self.server.refusal(entry, self.multi.as_ref()) {
            return self.refuse(entry, w, &text);
        }
        if self.proto == Proto::Resp2 && self.subscriptions() > 0 && !allowed_when_subscribed(entry) {
            let text = format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                String::from_utf8_lossy(frame.name()).to_lowercase()
            );
            return self.refuse(entry, w, &text);
        }
        if (self.is_monitor || self.replica.is_some()) && uses_keyspace(entry) {
            return self.refuse(entry, w, "ERR Replica can't interact with the keyspace");
        }
        if let Some(text) = self.server.scripts.busy.text()
            && !entry.is(Flags::ALLOW_BUSY)
        {
            return self.refuse(entry, w, text);
        }
        let let_go = w.now_ms <= self.let_go_ms + PASS_MS;
        if self.replica.is_none() && self.server.pauses(entry, self.multi.as_ref(), let_go) {
            self.is_held = true;
            return Flow::Paused(frame.to_owned());
        }
        if self.multi.is_some() && !runs_inside_multi(entry) {
            if entry.is(Flags::NO_MULTI) {
                return self.refuse(entry, w, "ERR Command not allowed inside a transaction");
            }
            return self.enqueue(entry, frame, w);
        }
        self.run(entry, frame, plan.hash, w)
    }

    /// Answers with an error; inside MULTI, EXEC will refuse.
    pub fn reject(&mut self, w: &mut Worker, text: impl AsRef<[u8]>) -> Flow {
        w.reply.error_bytes(text.as_ref());
        w.count_error(text.as_ref());
        if let Some(multi) = &mut self.multi {
            multi.aborted = true;
        }
        Flow::Continue
    }

    /// Answers a known command with an error. An EXEC that may not run ends its transaction.
    pub(super) fn refuse(&mut self, entry: &Entry, w: &mut Worker, text: &str) -> Flow {
        w.server.stats.command(w.id, entry.id).reject();
        if entry.spec.name != "exec" {
            return self.reject(w, text);
        }
        self.discard();
        let text = text.strip_prefix("ERR ").unwrap_or(text);
        self.reject(w, format!("EXECABORT Transaction discarded because of: {text}"))
    }

    /// Sends the client elsewhere, or has it wait. An EXEC that is sent elsewhere ends its transaction: all of it runs there.
    pub(super) fn redirect(
        &mut self,
        entry: &Entry,
        w: &mut Worker,
        redirect: &route::Redirect,
        frame: Frame<'_>,
    ) -> Flow {
        let waits = match redirect {
            route::Redirect::Wait => true,
            route::Redirect::Moved(slot, _) => check::is_coming(w, *slot) && self.awaits_arrival(w.now_ms),
            _ => false,
        };
        if waits && self.replica.is_none() {
            return Flow::Paused(frame.to_owned());
        }
        w.server.stats.command(w.id, entry.id).reject();
        if entry.spec.name == "exec" && self.multi.is_some() {
            self.discard();
        }
        self.reject(w, redirect.text())
    }

    /// Whether a command waits for its slot. When one has waited in vain, what else came with it is sent away at once.
    fn awaits_arrival(&mut self, now_ms: i64) -> bool {
        self.arrival = match self.arrival {
            Arrival::NotAwaited => Arrival::AwaitedSince(now_ms),
            Arrival::AwaitedSince(since) if now_ms - since >= ARRIVAL_MS => Arrival::InVain,
            as_it_is => as_it_is,
        };
        matches!(self.arrival, Arrival::AwaitedSince(_))
    }

    /// True for commands that are refused while there is no room: those that may take memory, whatever would be queued,
    /// and an EXEC of such commands.
    fn needs_memory(&self, entry: &Entry) -> bool {
        match &self.multi {
            Some(multi) if entry.spec.name == "exec" => multi.queue.iter().any(|(e, _)| e.is(Flags::DENYOOM)),
            Some(_) => !runs_inside_multi(entry),
            None => entry.is(Flags::DENYOOM),
        }
    }
}

/// What Redis refuses to replicas, and to monitors, which it counts among them.
fn uses_keyspace(entry: &Entry) -> bool {
    entry
        .spec
        .flags
        .any(Flags::READONLY.or(Flags::WRITE).or(Flags::MAY_REPLICATE))
        || matches!(entry.spec.name, "publish" | "spublish")
        || observe::runs_others(entry)
}

fn allowed_when_subscribed(entry: &Entry) -> bool {
    matches!(
        entry.spec.name,
        "subscribe"
            | "unsubscribe"
            | "psubscribe"
            | "punsubscribe"
            | "ssubscribe"
            | "sunsubscribe"
            | "ping"
            | "quit"
            | "reset"
    )
}

fn protected_text(entry: &Entry) -> String {
    let container = entry.spec.name.split('|').next().unwrap_or(entry.spec.name);
    format!(
        "ERR {} command not allowed. If the enable-{container}-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
        container.to_uppercase()
    )
}

/// A request line of HTTP: somebody makes a browser talk to this port.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

/// Redis's text: the name and the first arguments, 128 bytes at most of each part, none of them beyond a NUL.
fn unknown_command(frame: &Frame<'_>) -> Vec<u8> {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(shown(frame.name(), SHOWN));
    text.extend_from_slice(b"', with args beginning with: ");
    let before = text.len();
    for arg in frame.iter().skip(1) {
        let args = text.len() - before;
        if args >= SHOWN {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(shown(arg, SHOWN - args));
        text.extend_from_slice(b"' ");
    }
    text
}

fn unknown_subcommand(container: &str, sub: &[u8]) -> Vec<u8> {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(shown(sub, SHOWN));
    text.extend_from_slice(format!("'. Try {} HELP.", container.to_uppercase()).as_bytes());
    text
}

fn shown(word: &[u8], most: usize) -> &[u8] {
    let word = word.split(|&b| b == 0).next().unwrap_or_default();
    &word[..word.len().min(most)]
}
