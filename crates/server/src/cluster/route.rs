//! May this node run a command, and if not, who? By the slots of its keys, as the Redis Cluster specification says
//! (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>); the order of the checks and the texts
//! are those of 7.0.15.
//!
//! ```text
//! add(key)*   one slot for all, and its owner             -> CROSSSLOT, CLUSTERDOWN Hash slot not served
//! decide      the cluster's state                         -> CLUSTERDOWN The cluster is down
//!             the slot is open: which keys are there      -> ASK, TRYAGAIN
//!             mine, or a replica reads for its primary    -> here; otherwise MOVED
//! ```
//!
//! Pure: it sees a view and is told which keys exist. Must not know: sessions, locks.

use holdfast_cluster::state::{Node, Route, View};
use holdfast_commands::spec::Flags;

use super::endpoint;
use crate::config::EndpointType;
use crate::registry::Entry;

/// Why a command does not run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// Its keys are in several slots.
    CrossSlot,
    /// The slot travels, and only some of the keys are here.
    Unstable,
    /// The cluster does not serve.
    Down,
    /// The cluster serves reads only.
    DownForWrites,
    /// Nobody has the slot.
    Unbound,
    /// Another node has the slot: the slot and its address.
    Moved(u16, String),
    /// The key is where the slot travels to: the slot and its address.
    Ask(u16, String),
    /// It runs here in a moment: this node is about to get its lease, or whoever had the slot is about to stop serving it.
    /// The client waits and is told nothing.
    Wait,
    /// A migration brings something else than its slots, or is over.
    NotImported(u16),
}

impl Redirect {
    /// The error that the client gets.
    pub fn text(&self) -> String {
        match self {
            Self::CrossSlot => "CROSSSLOT Keys in request don't hash to the same slot".into(),
            Self::Unstable => "TRYAGAIN Multiple keys request during rehashing of slot".into(),
            Self::Down => "CLUSTERDOWN The cluster is down".into(),
            Self::DownForWrites => "CLUSTERDOWN The cluster is down and only accepts read commands".into(),
            Self::Unbound => "CLUSTERDOWN Hash slot not served".into(),
            Self::Moved(slot, address) => format!("MOVED {slot} {address}"),
            Self::Ask(slot, address) => format!("ASK {slot} {address}"),
            // Where nobody can wait.
            Self::Wait => "TRYAGAIN The slot is changing hands".into(),
            Self::NotImported(slot) => format!("ERR no migration brings slot {slot}"),
        }
    }

    /// The error that a script gets for a command of its own.
    pub fn script_text(&self) -> &'static str {
        match self {
            Self::Down | Self::Wait => "ERR Script attempted to execute a command while the cluster is down",
            Self::DownForWrites => {
                "ERR Script attempted to execute a write command while the cluster is down and readonly"
            }
            Self::CrossSlot
            | Self::Unstable
            | Self::Unbound
            | Self::Moved(..)
            | Self::Ask(..)
            | Self::NotImported(_) => "ERR Script attempted to access a non local key in a cluster node",
        }
    }
}

/// What the connection has said, and what it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker {
    /// ASKING stood before this command.
    pub asking: bool,
    /// READONLY is in force.
    pub readonly: bool,
    /// It speaks TLS.
    pub tls: bool,
}

/// What is served while not everything is well, and how nodes are named.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Not all slots are served, or this node is cut off.
    pub down: bool,
    /// This will not be so for long: who finds it so waits.
    pub wait: bool,
    /// `cluster-allow-reads-when-down`
    pub reads_when_down: bool,
    /// `cluster-allow-pubsubshard-when-down`
    pub pubsub_when_down: bool,
    /// `cluster-preferred-endpoint-type`
    pub endpoint: EndpointType,
}

/// What a command, or all commands of a transaction, ask for.
#[derive(Debug)]
pub struct Routing<'v, 'k> {
    view: &'v View,
    slot: Option<(u16, Route<'v>)>,
    first_key: Option<&'k [u8]>,
    several: bool,
    missing: bool,
    present: bool,
    writes: bool,
    implies_asking: bool,
    migrate: bool,
    pubsub: bool,
    /// What looks like a key is a cursor, which is nowhere.
    cursor: bool,
}

impl<'v, 'k> Routing<'v, 'k> {
    /// Nothing yet.
    pub fn new(view: &'v View) -> Self {
        Self {
            view,
            slot: None,
            first_key: None,
            several: false,
            missing: false,
            present: false,
            writes: false,
            implies_asking: false,
            migrate: false,
            pubsub: false,
            cursor: false,
        }
    }

    /// The slot of the keys so far.
    pub fn slot(&self) -> Option<u16> {
        self.slot.map(|(slot, _)| slot)
    }

    /// A command whose keys come next. Channels count as such only where they stand alone, as in Redis.
    pub fn command(&mut self, entry: &Entry, in_transaction: bool) {
        self.writes |= entry.is(Flags::WRITE);
        self.implies_asking |= entry.is(Flags::ASKING);
        self.migrate |= !in_transaction && entry.spec.name == "migrate";
        self.cursor |= entry.spec.name == "clusterscan";
        self.pubsub |= !in_transaction && is_sharded_pubsub(entry);
    }

    /// A key of the command with its slot, and a way to find out whether it is there, which is asked only if it matters.
    ///
    /// # Errors
    /// It does not fit those before, or nobody has its slot.
    pub fn add(&mut self, key: &'k [u8], slot: u16, exists: impl FnOnce() -> bool) -> Result<(), Redirect> {
        let route = match self.slot {
            None => {
                let route = self.view.route(slot);
                self.slot = Some((slot, route));
                route
            }
            Some((first, _)) if first != slot => return Err(Redirect::CrossSlot),
            Some((_, route)) => route,
        };
        // A slot that nobody has is served by none, not even by a node that imports it, as in Redis.
        if matches!(route, Route::Unassigned { .. }) {
            return Err(Redirect::Unbound);
        }
        self.several |= *self.first_key.get_or_insert(key) != key;
        if is_open(route) && !self.pubsub && !self.cursor {
            if exists() {
                self.present = true;
            } else {
                self.missing = true;
            }
        }
        Ok(())
    }

    /// Whether what was found may be another once the keys are locked.
    pub fn depends_on_keys(&self) -> bool {
        self.slot.is_some_and(|(_, route)| is_open(route)) && !self.pubsub && !self.cursor
    }

    /// The decision.
    ///
    /// # Errors
    /// Where the client has to go, or why nobody serves it.
    pub fn decide(&self, asker: Asker, rules: &Rules) -> Result<(), Redirect> {
        let Some((slot, route)) = self.slot else {
            return Ok(());
        };
        if rules.down {
            let (allowed, writes) = if self.pubsub {
                (rules.pubsub_when_down, false)
            } else {
                (rules.reads_when_down, self.writes)
            };
            if !allowed || writes {
                return Err(match (rules.wait, allowed) {
                    (true, _) => Redirect::Wait,
                    (false, false) => Redirect::Down,
                    (false, true) => Redirect::DownForWrites,
                });
            }
        }
        let address = |node: &Node| endpoint::address(node, rules.endpoint, asker.tls);
        if self.migrate && is_open(route) {
            return Ok(());
        }
        match route {
            Route::Mine {
                migrating_to: Some(target),
            } if self.missing => {
                if self.present {
                    return Err(Redirect::Unstable);
                }
                return Err(Redirect::Ask(slot, address(target)));
            }
            Route::Elsewhere { importing: true, .. } if asker.asking || self.implies_asking => {
                return if self.several && self.missing {
                    Err(Redirect::Unstable)
                } else {
                    Ok(())
                };
            }
            Route::Mine { .. } | Route::Elsewhere { .. } | Route::Unassigned { .. } => {}
        }
        match route {
            Route::Mine { .. } if self.view.is_primary() => {
                if self.view.holds && self.view.held.contains(slot) {
                    // Whoever had the slot may still serve it for a moment.
                    return Err(Redirect::Wait);
                }
                Ok(())
            }
            // A replica of the owner.
            Route::Mine { .. } => {
                if self.pubsub || (asker.readonly && !self.writes) {
                    return Ok(());
                }
                match self
                    .view
                    .my_shard()
                    .and_then(|shard| self.view.state.nodes.get(&shard.primary))
                {
                    Some(primary) => Err(Redirect::Moved(slot, address(primary))),
                    None => Err(Redirect::Unbound),
                }
            }
            Route::Elsewhere { primary, .. } => Err(Redirect::Moved(slot, address(primary))),
            Route::Unassigned { .. } => Err(Redirect::Unbound),
        }
    }
}

fn is_open(route: Route<'_>) -> bool {
    match route {
        Route::Mine { migrating_to } => migrating_to.is_some(),
        Route::Elsewhere { importing, .. } | Route::Unassigned { importing } => importing,
    }
}

/// Commands about channels of shards: their names have slots as keys do.
pub fn is_sharded_pubsub(entry: &Entry) -> bool {
    matches!(entry.spec.name, "ssubscribe" | "sunsubscribe" | "spublish")
}
