//! The control plane of a node among others: the Raft group of `holdfast_cluster`. Must not know: clients, commands, data.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::engine::{self, Address, Event, Founding, ProposeError, Report};
use holdfast_cluster::runtime::{self, ClusterHandle, Options, Security, StartError};
use holdfast_cluster::state::{Applied, Endpoint, Entry, ViewCell};
use holdfast_cluster::storage::StoreError;
use holdfast_cluster::{NodeId, ShardId};
use rand::Rng;

use super::endpoint;
use super::plane::{ControlPlane, GroupStatus, Link, PeerStatus, Pending, PlaneError};
use crate::config::{Config, Param};
use crate::server::Server;

/// Voters of the group at most.
const MAX_VOTERS: usize = 5;
/// Entries of the log after which it is compacted.
const SNAPSHOT_EVERY: u64 = 10_000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Group {
    handle: Arc<ClusterHandle>,
}

impl Group {
    /// Starts the node's part of the group; `told` hears what happens to it, and must not block.
    ///
    /// # Errors
    /// The text is for the operator.
    pub fn start(
        server: &Server,
        path: &Path,
        told: impl Fn(&Event) + Send + 'static,
    ) -> Result<Self, String> {
        let config = &server.config;
        let mut rng = rand::rng();
        let security = security(config)?;
        let endpoint = endpoint::own(config);
        let bus_port = config
            .cluster_bus_port()
            .ok_or("there is no port for the cluster bus: set cluster-port")?;
        let options = Options {
            engine: engine::Config {
                endpoint,
                failover_ms: failover_time(config).as_millis() as u64,
                max_voters: MAX_VOTERS,
                seeds: seeds(config)?,
                random: rng.random(),
                snapshot_every: SNAPSHOT_EVERY,
            },
            founding: Founding {
                node: NodeId::from_bytes(rng.random()),
                shard: ShardId::from_bytes(rng.random()),
                created_ms: server.started_ms as u64,
            },
            path: path.to_owned(),
            listen: listen(config, bus_port),
            security,
            observer: Box::new(told),
        };
        let handle = runtime::start(options).map_err(|error| start_error(&error, path))?;
        if handle.is_open() {
            tracing::warn!(
                "Whoever reaches port {bus_port} may speak on the cluster bus: set cluster-bus-secret, or tls-cluster"
            );
        }
        tracing::info!("Cluster bus on port {bus_port}, I'm {}", handle.view().get().me);
        Ok(Self {
            handle: Arc::new(handle),
        })
    }
}

fn start_error(error: &StartError, path: &Path) -> String {
    let path = path.display();
    match error {
        StartError::Store(StoreError::InUse) => format!(
            "Sorry, the cluster configuration file {path} is already used by a different cluster node. Please make sure \
             that different nodes use different cluster configuration files."
        ),
        StartError::Store(StoreError::Foreign) => format!(
            "The cluster configuration file {path}: it is not Holdfast's (a Redis node's file cannot be taken over: move \
             it away, start with an empty cluster configuration and create the cluster anew with redis-cli --cluster)"
        ),
        StartError::Store(StoreError::Damaged(_) | StoreError::Database(_)) | StartError::Malformed(_) => {
            format!("The cluster configuration file {path}: {error}")
        }
        StartError::Io(_) | StartError::Tls(_) => error.to_string(),
    }
}

/// When the leader was in contact last, in unix ms; None: nobody leads.
fn contact_ms(handle: &ClusterHandle) -> Option<i64> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    let now = i64::try_from(now.as_millis()).ok()?;
    let silent = i64::try_from(handle.silent_ms()).ok()?;
    handle.status().in_contact.then_some(now - silent)
}

/// The time from a primary's death until its slots are writable.
pub fn failover_time(config: &Config) -> Duration {
    let wanted = config.int(Param::ClusterFailoverTime);
    // A node timeout that was set lower for Redis means what it meant there.
    let ms = wanted.min(config.int(Param::ClusterNodeTimeout)) as u64;
    Duration::from_millis(ms.max(engine::MIN_FAILOVER_MS))
}

/// `cluster-seeds`
fn seeds(config: &Config) -> Result<Vec<Address>, String> {
    let text = String::from_utf8_lossy(&config.text(Param::ClusterSeeds)).into_owned();
    text.split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| {
            let (host, port) = word
                .rsplit_once(':')
                .ok_or_else(|| format!("cluster-seeds: '{word}' is no host:port"))?;
            let port: u16 = port
                .parse()
                .map_err(|_| format!("cluster-seeds: '{word}' has no port"))?;
            let port = port
                .checked_add(super::BUS_OFFSET)
                .ok_or_else(|| format!("cluster-seeds: the bus port of '{word}' would be above 65535"))?;
            Ok(Address {
                host: host.trim_matches(['[', ']']).to_owned(),
                port,
            })
        })
        .collect()
}

/// Where the bus listens: on the addresses that clients are taken on.
fn listen(config: &Config, port: u16) -> Vec<SocketAddr> {
    let bind = config.bind();
    let any = |host: &str| host == "*" || host == "0.0.0.0";
    if bind.iter().any(|(host, _)| any(host)) || bind.is_empty() {
        return vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))];
    }
    if bind.iter().any(|(host, _)| host == "::*" || host == "::") {
        return vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
    }
    bind.iter()
        .filter_map(|(host, _)| Some(SocketAddr::from((host.parse::<IpAddr>().ok()?, port))))
        .collect()
}

/// Who may speak on the bus.
fn security(config: &Config) -> Result<Security, String> {
    let secret = config.text(Param::ClusterBusSecret);
    let secret = (!secret.is_empty()).then(|| secret.to_vec());
    if !config.flag(Param::TlsCluster) {
        return Ok(secret.map_or(Security::Open, Security::Secret));
    }
    let file = |param: Param| {
        let path = String::from_utf8_lossy(&config.text(param)).into_owned();
        std::fs::read(&path).map_err(|error| format!("tls-cluster: {} {path}: {error}", param.name()))
    };
    let tls = runtime::Tls {
        authority: file(Param::TlsCaCertFile)?,
        certificate: file(Param::TlsCertFile)?,
        key: file(Param::TlsKeyFile)?,
        name: String::from_utf8_lossy(&config.text(Param::ClusterTlsName)).into_owned(),
    };
    Ok(Security::Mutual(tls, secret))
}

impl ControlPlane for Group {
    fn view(&self) -> &Arc<ViewCell> {
        self.handle.view()
    }

    fn propose(&self, entry: Entry) -> Pending<Applied> {
        let handle = Arc::clone(&self.handle);
        Box::pin(async move {
            handle.propose(entry).await.map_err(|error| match error {
                ProposeError::Rejected(why) => PlaneError::Rejected(why),
                ProposeError::Busy => PlaneError::Unavailable(error.to_string()),
                ProposeError::Unknown => PlaneError::Unknown(error.to_string()),
            })
        })
    }

    fn meet(&self, ip: IpAddr, port: u16, bus_port: u16) -> Pending<()> {
        let handle = Arc::clone(&self.handle);
        let port = match bus_port {
            0 => port.saturating_add(super::BUS_OFFSET),
            port => port,
        };
        Box::pin(async move {
            let host = ip.to_string();
            let met = handle.meet(Address { host, port }).await;
            met.map_err(|error| PlaneError::Failed(format!("the nodes did not meet: {error}")))
        })
    }

    fn reset(&self, hard: bool) -> Pending<()> {
        let handle = Arc::clone(&self.handle);
        Box::pin(async move {
            let (node, shard) = {
                let mut rng = rand::rng();
                let node = hard.then(|| NodeId::from_bytes(rng.random()));
                (node, ShardId::from_bytes(rng.random()))
            };
            handle.reset(node, shard).await;
            Ok(())
        })
    }

    fn lease_holds(&self) -> bool {
        self.handle.lease_holds()
    }

    fn silent_ms(&self) -> u64 {
        self.handle.silent_ms()
    }

    fn peer(&self, node: NodeId) -> PeerStatus {
        let peer = self.handle.peer(node);
        // A node that is not the leader hears of the others from it.
        let told = || contact_ms(&self.handle).filter(|_| !peer.down).unwrap_or(0);
        PeerStatus {
            heard_ms: match peer.heard_ms as i64 {
                0 => told(),
                heard => heard,
            },
            failed: peer.down,
            // Nodes speak with the leader, which tells the others who is alive.
            linked: peer.outbound_ms.is_some()
                || peer.inbound_ms.is_some()
                || (!peer.down && self.handle.status().in_contact),
            offset: peer.offset,
        }
    }

    fn links(&self) -> Vec<Link> {
        let view = self.handle.view().get();
        let mut links = Vec::new();
        for node in view.state.nodes.keys().filter(|node| **node != view.me) {
            let peer = self.handle.peer(*node);
            let mut link = |since: Option<u64>, inbound: bool| {
                if let Some(created) = since {
                    links.push(Link {
                        node: *node,
                        inbound,
                        created_ms: created as i64,
                        queued: if inbound { 0 } else { peer.queued },
                    });
                }
            };
            link(peer.outbound_ms, false);
            link(peer.inbound_ms, true);
        }
        links
    }

    fn group(&self) -> GroupStatus {
        let status = self.handle.status();
        let [sent, received, ..] = self.handle.traffic();
        GroupStatus {
            role: status.role,
            leader: status.leader,
            term: status.term,
            committed: status.commit_index,
            sent,
            received,
        }
    }

    fn report(&self, offset: u64, ready: bool, priority: u32) {
        self.handle.report(Report {
            offset,
            ready,
            priority,
        });
    }

    fn loaded(&self, kept: bool) {
        self.handle.loaded(kept);
    }

    fn hand_over(&self, epoch: u64, offset: u64) {
        self.handle.hand_over(epoch, offset);
    }

    fn set_endpoint(&self, endpoint: Endpoint) {
        self.handle.set_endpoint(endpoint);
    }

    fn stop(&self) {
        self.handle.stop();
    }
}
