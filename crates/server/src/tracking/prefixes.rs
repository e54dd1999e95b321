//! Clients that are told of every change of the keys that begin with a prefix (`BCAST`).
//!
//! Must not know: messages.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::client::Client;

/// Two prefixes of which one begins with the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    /// The one that is asked for.
    pub new: Box<[u8]>,
    /// The other.
    pub other: Box<[u8]>,
    /// The client has the other already; if not, it is asked for as well.
    pub existing: bool,
}

#[derive(Debug, Default)]
struct Index {
    clients: BTreeMap<Box<[u8]>, BTreeMap<u64, Arc<Client>>>,
    by_client: BTreeMap<u64, BTreeSet<Box<[u8]>>>,
    /// How many prefixes there are of each length: a key is looked up once for each.
    lengths: BTreeMap<usize, usize>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Prefixes {
    index: RwLock<Index>,
    count: AtomicUsize,
}

impl Prefixes {
    /// Tells the client of keys with this prefix.
    pub fn add(&self, client: &Arc<Client>, prefix: &[u8]) {
        let mut index = self.index.write();
        if !index
            .by_client
            .entry(client.id)
            .or_default()
            .insert(prefix.into())
        {
            return;
        }
        client.note_interest(prefix, true);
        let clients = index.clients.entry(prefix.into()).or_default();
        let is_new = clients.is_empty();
        clients.insert(client.id, Arc::clone(client));
        if is_new {
            *index.lengths.entry(prefix.len()).or_default() += 1;
        }
        self.count.store(index.clients.len(), Ordering::Relaxed);
    }

    /// Tells the client no more.
    pub fn remove_client(&self, client: &Client) {
        let mut index = self.index.write();
        for prefix in index.by_client.remove(&client.id).unwrap_or_default() {
            client.note_interest(&prefix, false);
            let Some(clients) = index.clients.get_mut(&prefix) else {
                continue;
            };
            clients.remove(&client.id);
            if !clients.is_empty() {
                continue;
            }
            index.clients.remove(&prefix);
            if let Some(count) = index.lengths.get_mut(&prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    index.lengths.remove(&prefix.len());
                }
            }
        }
        self.count.store(index.clients.len(), Ordering::Relaxed);
    }

    /// The client's prefixes.
    pub fn of(&self, client: &Client) -> BTreeSet<Box<[u8]>> {
        self.index
            .read()
            .by_client
            .get(&client.id)
            .cloned()
            .unwrap_or_default()
    }

    /// Number of different prefixes.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// See [`super::Tracking::check_prefixes`]. Names the pair that Redis names: the first of the new ones that collides,
    /// with one of the client's own rather than with one that comes later.
    pub fn check(&self, client: &Client, new: &[&[u8]]) -> Result<(), Collision> {
        let own = self.of(client);
        let own: BTreeSet<&[u8]> = own.iter().map(|p| &**p).collect();
        let mut later = BTreeSet::new();
        let mut first_pair = None;
        for (i, prefix) in new.iter().enumerate().rev() {
            if overlaps_any(&later, prefix) {
                first_pair = Some(i);
            }
            later.insert(*prefix);
        }
        let first_own = new.iter().position(|prefix| overlaps_any(&own, prefix));
        let (at, existing) = match (first_own, first_pair) {
            (None, None) => return Ok(()),
            (Some(own), Some(pair)) if pair < own => (pair, false),
            (None, Some(pair)) => (pair, false),
            (Some(own), _) => (own, true),
        };
        let collides = |other: &&&[u8]| overlap(new[at], other);
        let other = if existing {
            own.iter().find(collides)
        } else {
            new[at + 1..].iter().find(collides)
        };
        Err(Collision {
            new: new[at].into(),
            other: other.map_or_else(Box::default, |other| Box::from(*other)),
            existing,
        })
    }

    /// Calls `tell` for each prefix that some of the keys begin with, in order, and each of its clients, with these
    /// keys in order.
    pub fn each_group(&self, keys: &[(u32, Box<[u8]>)], mut tell: impl FnMut(&Arc<Client>, &[&[u8]])) {
        if self.count() == 0 {
            return;
        }
        let index = self.index.read();
        let mut groups: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
        for (_, key) in keys {
            for &length in index.lengths.keys().take_while(|&&length| length <= key.len()) {
                if let Some((prefix, _)) = index.clients.get_key_value(&key[..length]) {
                    groups.entry(prefix).or_default().insert(key);
                }
            }
        }
        for (prefix, keys) in groups {
            let keys: Vec<&[u8]> = keys.into_iter().collect();
            for client in index.clients.get(prefix).into_iter().flat_map(BTreeMap::values) {
                tell(client, &keys);
            }
        }
    }
}

fn overlap(a: &[u8], b: &[u8]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// True if one of the set begins with `prefix` or the other way round. A client may give a million prefixes: they are
/// not compared one by one.
fn overlaps_any(set: &BTreeSet<&[u8]>, prefix: &[u8]) -> bool {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    if set
        .range::<[u8], _>(from)
        .next()
        .is_some_and(|other| other.starts_with(prefix))
    {
        return true;
    }
    let mut upto = prefix;
    loop {
        let below = (Bound::Unbounded, Bound::Included(upto));
        match set.range::<[u8], _>(below).next_back() {
            None => return false,
            Some(other) if prefix.starts_with(other) => return true,
            // What `prefix` begins with is no longer than what the two have in common, or it would be found here.
            Some(other) => {
                let common = other.iter().zip(upto).take_while(|(a, b)| a == b).count();
                upto = &upto[..common];
            }
        }
    }
}
