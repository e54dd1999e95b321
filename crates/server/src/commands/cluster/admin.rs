//! The subcommands that change the cluster. Each looks at the view first, so that a mistake is answered as Redis answers
//! it; whether the change may be is decided where all agree on it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use holdfast_cluster::state::{Entry, FailoverKind, Fence, Node, Rejected, Route};
use holdfast_cluster::{NodeId, SLOTS, SlotSet};

use super::super::{ServerError, wrong_subcommand};
use super::job::{Ask, Then};
use crate::cluster::plane::{Pending, PlaneError};
use crate::cluster::{Cluster, handover, react, slots};

/// How long it may take until a replica's data are gone.
const EMPTIED: Duration = Duration::from_secs(30);

type Outcome = Result<Then, ServerError>;

/// OK, once all of these are agreed on, one after the other.
fn propose(ask: &Ask<'_, '_>, entries: Vec<Entry>) -> Then {
    let Some(first) = entries.first() else {
        return later_ok();
    };
    let first = ask.cluster.plane().propose(first.clone());
    let server = std::sync::Arc::clone(ask.server);
    Then::Later(Box::pin(async move {
        first.await?;
        for entry in entries.into_iter().skip(1) {
            let Some(cluster) = server.cluster.get() else {
                break;
            };
            cluster.plane().propose(entry).await?;
        }
        Ok("OK".to_owned())
    }))
}

/// OK, without anything to agree on.
fn later_ok() -> Then {
    Then::Later(Box::pin(std::future::ready(Ok("OK".to_owned()))))
}

fn ok_after(pending: Pending<()>) -> Then {
    Then::Later(Box::pin(async move {
        pending.await?;
        Ok("OK".to_owned())
    }))
}

fn error(text: impl std::fmt::Display) -> ServerError {
    ServerError(format!("ERR {text}"))
}

fn text(word: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(word)
}

impl Ask<'_, '_> {
    /// The node with this name.
    pub(super) fn node(&self, name: &[u8]) -> Option<&Node> {
        let id = NodeId::parse(std::str::from_utf8(name).ok()?)?;
        self.view.state.nodes.get(&id)
    }

    pub(super) fn known_node(&self, name: &[u8]) -> Result<&Node, ServerError> {
        self.node(name)
            .ok_or_else(|| error(format_args!("Unknown node {}", text(name))))
    }

    fn slot(&self, at: usize) -> Result<u16, ServerError> {
        slot(self.args.get(at))
    }

    fn owns(&self, slot: u16) -> bool {
        matches!(self.view.route(slot), Route::Mine { .. })
    }

    fn has_keys(&self) -> bool {
        match self.locked {
            Some(locked) => !(0..self.server.keyspace.shard_count() as u16).all(|shard| {
                let dbs = &locked.look(shard).dbs;
                dbs.iter().all(|db| db.table.is_empty())
            }),
            None => !slots::is_empty(&self.server.keyspace),
        }
    }
}

fn slot(word: &[u8]) -> Result<u16, ServerError> {
    holdfast_resp::parse_i64(word)
        .and_then(|slot| u16::try_from(slot).ok())
        .filter(|slot| *slot < SLOTS)
        .ok_or_else(|| ServerError::new("ERR Invalid or out of range slot"))
}

/// Slots that a command names; each must be named once, and be taken or free as `taken` says.
fn named(
    ask: &Ask<'_, '_>,
    slots: impl Iterator<Item = Result<u16, ServerError>>,
    taken: bool,
) -> Result<SlotSet, ServerError> {
    let all: Vec<u16> = slots.collect::<Result<_, _>>()?;
    let mut set = SlotSet::new();
    for slot in all {
        match (ask.view.state.owner(slot).is_some(), taken) {
            (true, false) => return Err(error(Rejected::SlotBusy(slot))),
            (false, true) => return Err(error(Rejected::SlotUnassigned(slot))),
            (true, true) | (false, false) => {}
        }
        if set.contains(slot) {
            return Err(error(format_args!("Slot {slot} specified multiple times")));
        }
        set.insert(slot);
    }
    Ok(set)
}

fn listed(ask: &Ask<'_, '_>, taken: bool) -> Result<SlotSet, ServerError> {
    named(ask, ask.args.from(2).map(slot), taken)
}

fn in_ranges(ask: &Ask<'_, '_>, taken: bool) -> Result<SlotSet, ServerError> {
    let words: Vec<&[u8]> = ask.args.from(2).collect();
    if !words.len().is_multiple_of(2) {
        let name = ask.entry.spec.name;
        return Err(error(format_args!(
            "wrong number of arguments for '{name}' command"
        )));
    }
    let mut all = Vec::new();
    for pair in words.chunks_exact(2) {
        let (first, last) = (slot(pair[0])?, slot(pair[1])?);
        if first > last {
            return Err(error(format_args!(
                "start slot number {first} is greater than end slot number {last}"
            )));
        }
        // A list that names a slot again is refused below; it need not be written out for that.
        if all.len() > usize::from(SLOTS) {
            break;
        }
        all.extend(first..=last);
    }
    named(ask, all.into_iter().map(Ok), taken)
}

fn assign(ask: &Ask<'_, '_>, slots: SlotSet) -> Then {
    let node = ask.view.me;
    propose(ask, vec![Entry::AssignSlots { node, slots }])
}

fn unassign(ask: &Ask<'_, '_>, slots: SlotSet) -> Outcome {
    if ask.view.my_shard().is_some() && !ask.view.is_primary() {
        return Err(error("A replica takes slots from nobody: send this to a master."));
    }
    Ok(propose(ask, vec![Entry::RemoveSlots { slots, node: None }]))
}

/// CLUSTER ADDSLOTS slot...
pub fn add_slots(ask: &mut Ask<'_, '_>) -> Outcome {
    let slots = listed(ask, false)?;
    Ok(assign(ask, slots))
}

/// CLUSTER ADDSLOTSRANGE first last...
pub fn add_slots_range(ask: &mut Ask<'_, '_>) -> Outcome {
    let slots = in_ranges(ask, false)?;
    Ok(assign(ask, slots))
}

/// CLUSTER DELSLOTS slot...
pub fn delete_slots(ask: &mut Ask<'_, '_>) -> Outcome {
    let slots = listed(ask, true)?;
    unassign(ask, slots)
}

/// CLUSTER DELSLOTSRANGE first last...
pub fn delete_slots_range(ask: &mut Ask<'_, '_>) -> Outcome {
    let slots = in_ranges(ask, true)?;
    unassign(ask, slots)
}

/// CLUSTER FLUSHSLOTS
pub fn flush_slots(ask: &mut Ask<'_, '_>) -> Outcome {
    if ask.has_keys() {
        return Err(error("DB must be empty to perform CLUSTER FLUSHSLOTS."));
    }
    let mine = ask
        .view
        .my_shard()
        .map(|shard| ask.view.state.slots_of(shard.id))
        .unwrap_or_default();
    if mine.is_empty() {
        return Ok(later_ok());
    }
    let node = Some(ask.view.me);
    Ok(propose(ask, vec![Entry::RemoveSlots { slots: mine, node }]))
}

/// CLUSTER SETSLOT slot MIGRATING|IMPORTING|NODE node-id, or STABLE
pub fn set_slot(ask: &mut Ask<'_, '_>) -> Outcome {
    if ask.view.my_shard().is_some() && !ask.view.is_primary() {
        return Err(error("Please use SETSLOT only with masters."));
    }
    let slot = ask.slot(2)?;
    let (action, name) = (ask.args.get(3).to_ascii_lowercase(), ask.args.opt(4));
    let only = ask.args.len() == 5;
    match (&action[..], name) {
        (b"migrating", Some(name)) if only => migrating(ask, slot, name),
        (b"importing", Some(name)) if only => importing(ask, slot, name),
        (b"stable", None) => Ok(stable(ask, slot)),
        (b"node", Some(name)) if only => give(ask, slot, name),
        _ => Err(error(
            "Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP",
        )),
    }
}

/// The primary that a slot travels to, or comes from.
fn partner(ask: &Ask<'_, '_>, name: &[u8]) -> Result<NodeId, ServerError> {
    let node = ask
        .node(name)
        .ok_or_else(|| error(format_args!("I don't know about node {}", text(name))))?;
    primary(ask, node.id)
}

fn primary(ask: &Ask<'_, '_>, node: NodeId) -> Result<NodeId, ServerError> {
    if ask.view.state.is_primary(node) {
        Ok(node)
    } else {
        Err(error("Target node is not a master"))
    }
}

fn migrating(ask: &Ask<'_, '_>, slot: u16, name: &[u8]) -> Outcome {
    if !ask.owns(slot) {
        return Err(error(format_args!("I'm not the owner of hash slot {slot}")));
    }
    let to = Some(partner(ask, name)?);
    Ok(propose(ask, vec![Entry::MarkMigrating { slot, to }]))
}

fn importing(ask: &Ask<'_, '_>, slot: u16, name: &[u8]) -> Outcome {
    if ask.owns(slot) {
        return Err(error(format_args!("I'm already the owner of hash slot {slot}")));
    }
    partner(ask, name)?;
    let importer = Some(ask.view.me);
    Ok(propose(ask, vec![Entry::MarkImporting { slot, importer }]))
}

fn stable(ask: &Ask<'_, '_>, slot: u16) -> Then {
    let Some(marks) = ask.view.state.open_slots.get(&slot).copied() else {
        return later_ok();
    };
    let mut entries = Vec::new();
    if marks.migrating_to.is_some() && ask.owns(slot) {
        entries.push(Entry::MarkMigrating { slot, to: None });
    }
    let mine = ask.view.my_shard().map(|shard| shard.id);
    if marks.importing.is_some() && marks.importing == mine {
        entries.push(Entry::MarkImporting { slot, importer: None });
    }
    propose(ask, entries)
}

fn give(ask: &Ask<'_, '_>, slot: u16, name: &[u8]) -> Outcome {
    let to = ask.known_node(name)?.id;
    primary(ask, to)?;
    if ask.owns(slot) && to != ask.view.me {
        let server = ask.server;
        let shard = server.keyspace.shard_of(slot);
        let keys = match ask.locked {
            Some(locked) => slots::count(&server.keyspace, locked, slot),
            None => slots::count(&server.keyspace, &server.keyspace.lock_one(shard), slot),
        };
        if keys > 0 {
            return Err(error(format_args!(
                "Can't assign hashslot {slot} to a different node while I still hold keys for this hash slot."
            )));
        }
    }
    let state = &ask.view.state;
    let owner = state.owner(slot).map(|shard| shard.primary);
    if owner == Some(to) && !state.open_slots.contains_key(&slot) {
        return Ok(later_ok()); // redis-cli tells every node; the first has told them all
    }
    let shards = [state.owner(slot), state.shard_of(to)];
    let fences: BTreeSet<_> = shards
        .into_iter()
        .flatten()
        .map(|shard| (shard.id, shard.epoch))
        .collect();
    let fences = fences.into_iter().map(|(shard, epoch)| Fence { shard, epoch });
    let entry = Entry::MoveSlots {
        to,
        slots: SlotSet::from_iter([slot]),
        fences: fences.collect(),
    };
    Ok(propose(ask, vec![entry]))
}

/// CLUSTER BUMPEPOCH: epochs are the group's to give; none is drawn for the asking.
pub fn bump_epoch(ask: &mut Ask<'_, '_>) -> Outcome {
    let epoch = ask.view.my_shard().map_or(0, |shard| shard.epoch);
    ask.reply.simple(&format!("STILL {epoch}"));
    Ok(Then::Answered)
}

/// CLUSTER SET-CONFIG-EPOCH epoch: checked and left alone, for the same reason.
pub fn set_config_epoch(ask: &mut Ask<'_, '_>) -> Outcome {
    let epoch = ask.args.int(2)?;
    if epoch < 0 {
        return Err(error(format_args!("Invalid config epoch specified: {epoch}")));
    }
    if ask.view.state.nodes.len() > 1 {
        return Err(error(
            "The user can assign a config epoch only when the node does not know any other node.",
        ));
    }
    ask.reply.ok();
    Ok(Then::Answered)
}

/// CLUSTER MEET ip port [bus-port]
pub fn meet(ask: &mut Ask<'_, '_>) -> Outcome {
    if ask.args.len() > 5 {
        return Err(wrong_subcommand(ask.entry, ask.args));
    }
    let number = |at: usize, what: &str| {
        let word = ask.args.get(at);
        holdfast_resp::parse_i64(word)
            .ok_or_else(|| error(format_args!("Invalid TCP {what} port specified: {}", text(word))))
    };
    let (host, port) = (text(ask.args.get(2)), number(3, "base")?);
    let bus_port = match ask.args.opt(4) {
        None => 0,
        Some(_) => number(4, "bus")?,
    };
    let invalid = || error(format_args!("Invalid node address specified: {host}:{port}"));
    let ip: IpAddr = host.parse().map_err(|_| invalid())?;
    let port = u16::try_from(port)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(invalid)?;
    let bus_port = u16::try_from(bus_port).map_err(|_| invalid())?;
    if bus_port == 0 && port.checked_add(10_000).is_none() {
        return Err(invalid());
    }
    Ok(ok_after(ask.cluster.plane().meet(ip, port, bus_port)))
}

/// CLUSTER FORGET node-id
pub fn forget(ask: &mut Ask<'_, '_>) -> Outcome {
    let name = ask.args.get(2);
    let Some(node) = ask.node(name).map(|node| node.id) else {
        let id = std::str::from_utf8(name).ok().and_then(NodeId::parse);
        let has_departed = |id| ask.cluster.has_departed(id, ask.server.now_ms());
        if id.is_some() && ask.locked.is_none() {
            // It may have gone from the view a moment ago, and not be noted.
            react::to_view(ask.server);
        }
        if id.is_some_and(has_departed) {
            // redis-cli tells every node to forget it; the first has told them all.
            return Ok(later_ok());
        }
        return Err(error(format_args!("Unknown node {}", text(name))));
    };
    if node == ask.view.me {
        return Err(error("I tried hard but I can't forget myself..."));
    }
    if ask.view.my_shard().is_some_and(|shard| shard.primary == node) {
        return Err(error("Can't forget my master!"));
    }
    let pending = ask.cluster.plane().propose(Entry::NodeLeave { node });
    Ok(Then::Later(Box::pin(async move {
        match pending.await {
            // Another node was quicker.
            Ok(_) | Err(PlaneError::Rejected(Rejected::UnknownNode(_))) => Ok("OK".to_owned()),
            Err(PlaneError::Rejected(Rejected::HasSlots(node))) => Err(PlaneError::Failed(format!(
                "Node {node} owns slots: move them away first"
            ))),
            Err(error) => Err(error),
        }
    })))
}

/// CLUSTER REPLICATE node-id
pub fn replicate(ask: &mut Ask<'_, '_>) -> Outcome {
    let me = ask.view.me;
    let primary = ask.known_node(ask.args.get(2))?.id;
    if primary == me {
        return Err(error("Can't replicate myself"));
    }
    if !ask.view.state.is_primary(primary) {
        return Err(error("I can only replicate a master, not a replica."));
    }
    let mine = ask.view.my_shard().map(|shard| shard.id);
    let has_slots = mine.is_some_and(|shard| ask.view.state.has_slots(shard));
    if ask.view.is_primary() && (has_slots || ask.has_keys()) {
        return Err(error(
            "To set a master the node must be empty and without assigned slots.",
        ));
    }
    Ok(propose(ask, vec![Entry::SetReplica { node: me, primary }]))
}

/// CLUSTER FAILOVER [FORCE|TAKEOVER]
pub fn failover(ask: &mut Ask<'_, '_>) -> Outcome {
    if ask.args.len() > 3 {
        return Err(wrong_subcommand(ask.entry, ask.args));
    }
    let kind = match ask.args.opt(2).map(<[u8]>::to_ascii_lowercase) {
        None => FailoverKind::Manual,
        Some(word) if matches!(&word[..], b"force" | b"takeover") => FailoverKind::Forced,
        Some(_) => return Err(ServerError::new("ERR syntax error")),
    };
    let Some(shard) = ask.view.my_shard().filter(|shard| shard.primary != ask.view.me) else {
        return Err(error("You should send CLUSTER FAILOVER to a replica"));
    };
    let is_linked = ask.server.replication.follower.is_up();
    if kind == FailoverKind::Manual && (ask.cluster.plane().peer(shard.primary).failed || !is_linked) {
        return Err(error(
            "Master is down or failed, please use CLUSTER FAILOVER FORCE",
        ));
    }
    let fence = Fence {
        shard: shard.id,
        epoch: shard.epoch,
    };
    if kind == FailoverKind::Manual {
        return Ok(ok_after(handover::take_over(ask.server, fence)));
    }
    let (to, life) = (ask.view.me, 0);
    Ok(propose(
        ask,
        vec![Entry::Failover {
            fence,
            to,
            kind,
            life,
        }],
    ))
}

/// CLUSTER RESET [HARD|SOFT]
pub fn reset(ask: &mut Ask<'_, '_>) -> Outcome {
    if ask.args.len() > 3 {
        return Err(wrong_subcommand(ask.entry, ask.args));
    }
    let hard = match ask.args.opt(2).map(<[u8]>::to_ascii_lowercase) {
        None => false,
        Some(word) if &word[..] == b"soft" => false,
        Some(word) if &word[..] == b"hard" => true,
        Some(_) => return Err(ServerError::new("ERR syntax error")),
    };
    if ask.view.is_primary() && ask.has_keys() {
        return Err(error(
            "CLUSTER RESET can't be called with master nodes containing keys",
        ));
    }
    let pending = ask.cluster.plane().reset(hard);
    let server = std::sync::Arc::clone(ask.server);
    Ok(Then::Later(Box::pin(async move {
        pending.await?;
        // A replica's data go with it.
        let following = std::sync::Arc::clone(&server);
        let followed = tokio::task::spawn_blocking(move || react::to_view(&following)).await;
        followed.map_err(|error| PlaneError::Failed(error.to_string()))?;
        let deadline = Instant::now() + EMPTIED;
        while server.cluster.get().is_some_and(Cluster::is_emptying) {
            if Instant::now() >= deadline {
                return Err(PlaneError::Failed(
                    "the node is alone, but its data are still there".into(),
                ));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok("OK".to_owned())
    })))
}

/// CLUSTER SAVECONFIG: what was agreed on is on the disk before it counts.
pub fn save_config(ask: &mut Ask<'_, '_>) -> Outcome {
    ask.reply.ok();
    Ok(Then::Answered)
}
