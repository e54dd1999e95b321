//! A client that knows who has which slot: it asks any node, keeps a connection to each, and follows redirections. Must not
//! know: what is written.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Connect, SLOTS};
use crate::client::Client;
use crate::reply::Reply;

/// Redirections that one command follows: as many as redis-py's and ioredis's.
const REDIRECTIONS: usize = 16;

/// Such a client.
pub struct Routed {
    connect: Connect,
    nodes: Vec<SocketAddr>,
    /// Whom to ask next for the owners.
    next: usize,
    owners: Vec<Option<SocketAddr>>,
    connections: HashMap<SocketAddr, Client>,
    timeout: Duration,
}

impl Routed {
    /// Knows these nodes to ask; a reply may take so long.
    pub fn new(connect: Connect, nodes: Vec<SocketAddr>, timeout: Duration) -> Routed {
        Routed {
            connect,
            nodes,
            next: 0,
            owners: vec![None; usize::from(SLOTS)],
            connections: HashMap::new(),
            timeout,
        }
    }

    /// Has one command executed by the owner of `slot`. An error reply that is no redirection is a reply. After an error, the
    /// next command asks who owns what.
    ///
    /// # Errors
    /// Nobody is known to own the slot, the owner does not answer, or sends on and on.
    pub fn call<A: AsRef<[u8]>>(&mut self, slot: u16, words: &[A]) -> Result<Reply> {
        let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
        let mut replies = self.call_all(slot, &[words])?;
        replies.pop().context("a reply for the command")
    }

    /// Has commands executed by the owner of `slot`, one after the other, in one round trip. All are sent again if the first
    /// one is redirected.
    ///
    /// # Errors
    /// As for [`Routed::call`].
    pub fn call_all(&mut self, slot: u16, commands: &[Vec<&[u8]>]) -> Result<Vec<Reply>> {
        let mut asking = None;
        for _ in 0..REDIRECTIONS {
            let owner = match asking {
                Some(address) => address,
                None => self.owner(slot)?,
            };
            let replies = self.call_at(owner, commands, asking.is_some());
            let replies = match replies {
                Ok(replies) => replies,
                Err(error) => {
                    self.forget(owner);
                    return Err(error);
                }
            };
            asking = None;
            match replies.first().and_then(redirection) {
                Some((true, to)) => asking = Some(to),
                Some((false, to)) => self.owners[usize::from(slot)] = Some(to),
                None => return Ok(replies),
            }
        }
        bail!("redirected again and again for slot {slot}")
    }

    fn call_at(&mut self, at: SocketAddr, commands: &[Vec<&[u8]>], asking: bool) -> Result<Vec<Reply>> {
        let client = match self.connections.entry(at) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let mut client = (self.connect)(at)?;
                client.set_timeout(self.timeout);
                entry.insert(client)
            }
        };
        let mut all: Vec<Vec<&[u8]>> = Vec::new();
        if asking {
            all.push(vec![b"ASKING"]);
        }
        all.extend(commands.iter().cloned());
        let mut replies = client.pipeline(&all)?;
        if asking {
            replies.remove(0);
        }
        Ok(replies)
    }

    /// Who owns a slot, as far as anybody says.
    ///
    /// # Errors
    /// Nobody says.
    pub fn owner(&mut self, slot: u16) -> Result<SocketAddr> {
        if self.owners[usize::from(slot)].is_none() {
            self.learn()?;
        }
        self.owners[usize::from(slot)].with_context(|| format!("nobody owns slot {slot}"))
    }

    /// Forgets a node's connection, and who owns what.
    pub fn forget(&mut self, node: SocketAddr) {
        self.connections.remove(&node);
        self.owners.fill(None);
    }

    /// Asks the next node for all owners.
    fn learn(&mut self) -> Result<()> {
        let mut last = None;
        for _ in 0..self.nodes.len() {
            let node = self.nodes[self.next % self.nodes.len()];
            self.next += 1;
            match self.learn_from(node) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.connections.remove(&node);
                    last = Some(error);
                }
            }
        }
        Err(last.context("there are nodes")?)
    }

    fn learn_from(&mut self, node: SocketAddr) -> Result<()> {
        let command: Vec<Vec<&[u8]>> = vec![vec![b"CLUSTER", b"SLOTS"]];
        let replies = self.call_at(node, &command, false)?;
        let Some(Reply::Array(ranges)) = replies.first() else {
            bail!("CLUSTER SLOTS: {replies:?}");
        };
        for range in ranges {
            let (first, last, owner) = parse(range).with_context(|| format!("{range:?}"))?;
            for slot in first..=last {
                self.owners[usize::from(slot)] = Some(owner);
            }
        }
        Ok(())
    }
}

/// First and last slot of a range of CLUSTER SLOTS, and where its primary is.
fn parse(range: &Reply) -> Option<(u16, u16, SocketAddr)> {
    let Reply::Array(parts) = range else { return None };
    let slot = |n: usize| -> Option<u16> { u16::try_from(parts.get(n)?.integer()?).ok() };
    let Reply::Array(owner) = parts.get(2)? else {
        return None;
    };
    let address = format!("{}:{}", owner.first()?.text()?, owner.get(1)?.integer()?);
    Some((slot(0)?, slot(1)?, address.parse().ok()?))
}

/// Where MOVED or ASK (true) send.
fn redirection(reply: &Reply) -> Option<(bool, SocketAddr)> {
    let Reply::Error(text) = reply else { return None };
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let ask = match words.next()? {
        "ASK" => true,
        "MOVED" => false,
        _ => return None,
    };
    Some((ask, words.nth(1)?.parse().ok()?))
}
