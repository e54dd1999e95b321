//! Hosts with addresses of their own, as network namespaces, joined by a wire that is this process: each packet between
//! two hosts comes out of a TUN device here, and goes into the other host's, or is lost, or waits. So a link is cut or slow
//! in either direction at once, without firewall rules and queueing disciplines, which not every kernel has.
//!
//! Namespaces and devices have no names and belong to no other process: they end with the [`Network`], after a panic and
//! a SIGKILL, too. Every network is a world of its own, so all of them use the same addresses, and no packet of theirs
//! reaches a real one. It takes root, and the kernel's `tun`.
//!
//! Must not know: what runs on the hosts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns, unshare};
use tun_rs::{DeviceBuilder, InterruptEvent, SyncDevice};

use crate::client::Client;
use crate::docker::run;
use crate::server::{Options, Role, Server, tool};

/// Hosts are 10.90.0.1, 10.90.0.2 and so on.
const PREFIX: [u8; 3] = [10, 90, 0];

/// Bytes of the largest packet. Larger than Ethernet's: fewer packets pass this process.
const MTU: u16 = 9000;

/// Packets that wait on slow links at most; what comes beyond that is lost, as in a full queue of a router.
const WAITING: usize = 20_000;

/// A packet that waits: when it is due, its number (for those that are due at once), the host it goes to, and itself.
type Late = Reverse<(Instant, u64, usize, Vec<u8>)>;

/// What links do to packets, by the numbers of the hosts, from and to.
#[derive(Default)]
struct Links {
    cut: Vec<(usize, usize)>,
    delay: BTreeMap<(usize, usize), Duration>,
    late: BinaryHeap<Late>,
    number: u64,
    over: bool,
}

struct Wire {
    devices: Vec<SyncDevice>,
    links: Mutex<Links>,
    changed: Condvar,
    /// Wakes those who read devices when all is over.
    over: InterruptEvent,
}

impl Wire {
    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries what this host sends, until all is over.
    fn carry(&self, from: usize) {
        let mut packet = vec![0; usize::from(MTU)];
        loop {
            let length = match self.devices[from].recv_intr(&mut packet, &self.over) {
                Ok(length) => length,
                Err(_) if self.links().over => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                // The device is gone.
                Err(_) => return,
            };
            let Some(to) = destination(&packet[..length]).filter(|to| *to < self.devices.len()) else {
                continue;
            };
            let mut links = self.links();
            if links.cut.contains(&(from, to)) {
                continue;
            }
            if let Some(delay) = links.delay.get(&(from, to)).copied() {
                links.number += 1;
                let number = links.number;
                if links.late.len() < WAITING {
                    let due = Instant::now() + delay;
                    links
                        .late
                        .push(Reverse((due, number, to, packet[..length].to_vec())));
                    self.changed.notify_one();
                }
                continue;
            }
            drop(links);
            self.deliver(to, &packet[..length]);
        }
    }

    fn deliver(&self, to: usize, packet: &[u8]) {
        // A host that takes no packet loses it.
        let _lost = self.devices[to].send(packet);
    }

    /// Delivers what waits, when it is due, until all is over.
    fn carry_late(&self) {
        let mut links = self.links();
        while !links.over {
            let now = Instant::now();
            match links.late.peek().map(|Reverse((due, ..))| *due) {
                Some(due) if due <= now => {
                    if let Some(Reverse((_, _, to, packet))) = links.late.pop() {
                        drop(links);
                        self.deliver(to, &packet);
                        links = self.links();
                    }
                }
                Some(due) => {
                    let waited = self.changed.wait_timeout(links, due - now);
                    links = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    links = self.changed.wait(links).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// The number of the host that an IPv4 packet goes to.
fn destination(packet: &[u8]) -> Option<usize> {
    let address = packet.get(16..20).filter(|_| packet[0] >> 4 == 4)?;
    (address[..3] == PREFIX).then(|| usize::from(address[3]).checked_sub(1))?
}

/// Some hosts and the wire between them.
pub struct Network {
    hosts: Vec<Host>,
    wire: Arc<Wire>,
    threads: Vec<JoinHandle<()>>,
}

/// One of them.
pub struct Host {
    number: usize,
    namespace: File,
}

impl Network {
    /// So many hosts, of whom each reaches every other one.
    ///
    /// # Errors
    /// It is not root who asks, or the kernel has no TUN devices.
    pub fn new(hosts: usize) -> Result<Network> {
        ensure!(hosts < 255, "a network has less than 255 hosts, not {hosts}");
        ensure!(
            nix::unistd::geteuid().is_root(),
            "hosts in network namespaces take root: run the tests as root"
        );
        tool("ip", "apt-get install iproute2")?;
        let mut made = Vec::new();
        let mut devices = Vec::new();
        for number in 0..hosts {
            let (namespace, device) = aside(|| make(number))??;
            made.push(Host { number, namespace });
            devices.push(device);
        }
        let wire = Arc::new(Wire {
            devices,
            links: Mutex::default(),
            changed: Condvar::new(),
            over: InterruptEvent::new()?,
        });
        let mut threads = Vec::new();
        for number in 0..hosts {
            let wire = Arc::clone(&wire);
            threads.push(std::thread::spawn(move || wire.carry(number)));
        }
        let late = Arc::clone(&wire);
        threads.push(std::thread::spawn(move || late.carry_late()));
        Ok(Network {
            hosts: made,
            wire,
            threads,
        })
    }

    /// The host of this number, from 0.
    ///
    /// # Panics
    /// There are not so many.
    pub fn host(&self, number: usize) -> &Host {
        &self.hosts[number]
    }

    /// All hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Loses everything that `from` sends to `to` from now on; the other direction goes on.
    pub fn cut_way(&self, from: usize, to: usize) {
        let mut links = self.wire.links();
        if !links.cut.contains(&(from, to)) {
            links.cut.push((from, to));
        }
    }

    /// Cuts both directions between two hosts.
    pub fn cut(&self, one: usize, other: usize) {
        self.cut_way(one, other);
        self.cut_way(other, one);
    }

    /// Cuts all links between hosts of the one and of the other side.
    pub fn part(&self, one: &[usize], other: &[usize]) {
        for a in one {
            for b in other {
                self.cut(*a, *b);
            }
        }
    }

    /// Cuts a host off from all others.
    pub fn isolate(&self, host: usize) {
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.cut(host, other);
        }
    }

    /// Ends what was cut between two hosts.
    pub fn heal(&self, one: usize, other: usize) {
        let ends = [(one, other), (other, one)];
        self.wire.links().cut.retain(|link| !ends.contains(link));
    }

    /// Ends everything that was cut. What is slow stays so.
    pub fn heal_all(&self) {
        self.wire.links().cut.clear();
    }

    /// Every packet from and to this host takes so much longer; zero ends it. What waits already keeps its time.
    pub fn slow(&self, host: usize, delay: Duration) {
        let mut links = self.wire.links();
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            for link in [(host, other), (other, host)] {
                if delay.is_zero() {
                    links.delay.remove(&link);
                } else {
                    links.delay.insert(link, delay);
                }
            }
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.wire.links().over = true;
        self.wire.changed.notify_all();
        // It fails only when the pipe is full of such events.
        let _already = self.wire.over.trigger();
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

/// Runs it in a thread of its own, which may leave the namespace of this process.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => Ok(done),
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Makes a namespace, to which this thread then belongs, and the device that joins it to the wire.
fn make(number: usize) -> Result<(File, SyncDevice)> {
    unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace, which takes root")?;
    let namespace = File::open("/proc/thread-self/ns/net")?;
    let device = DeviceBuilder::new()
        .name("wire")
        .ipv4(address_of(number), 24u8, None)
        .mtu(MTU)
        .build_sync()
        .context("making a TUN device: the kernel needs `tun`, and root may open /dev/net/tun")?;
    run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    Ok((namespace, device))
}

/// The address of the host of this number.
fn address_of(number: usize) -> Ipv4Addr {
    let [a, b, c] = PREFIX;
    Ipv4Addr::new(a, b, c, u8::try_from(number + 1).unwrap_or(u8::MAX))
}

impl Host {
    /// Its address.
    pub fn address(&self) -> IpAddr {
        address_of(self.number).into()
    }

    /// Its number in the network.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Runs something on this host: sockets that are made and programs that are started there belong to it, and stay its
    /// own.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        aside(|| {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
            work()
        })?
    }

    /// Starts a server there, which every other host reaches at [`Server::address`], and which needs no password for that.
    /// [`Server::connect`] does not reach it: [`Host::connect`] does.
    ///
    /// # Errors
    /// As for [`Server::start`].
    pub fn start(&self, role: Role, options: &Options) -> Result<Server> {
        let options = options
            .clone()
            .bind(self.address())
            .directive("protected-mode", "no");
        self.inside(|| Server::start(role, &options))
    }

    /// Connects from this host to an address on one of this network's.
    ///
    /// # Errors
    /// Nobody listens there, no packet comes through within 5 s, or it is no address of such a host.
    pub fn connect(&self, to: SocketAddr) -> Result<Client> {
        let ours = match to.ip() {
            IpAddr::V4(ip) => ip.octets()[..3] == PREFIX || ip.is_loopback(),
            IpAddr::V6(_) => false,
        };
        if !ours {
            bail!("{to} is on no host of this network");
        }
        self.inside(|| Client::connect_within(to, Duration::from_secs(5)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Reply;
    use crate::wait::wait_until;

    const SHORT: Duration = Duration::from_millis(300);

    fn ping(client: &mut Client) -> Result<()> {
        let reply = client.command("PING")?;
        ensure!(reply == Reply::Simple(b"PONG".to_vec()), "{reply:?}");
        Ok(())
    }

    #[test]
    fn hosts_reach_each_other_and_links_are_cut_one_way_and_both_ways() -> Result<()> {
        let network = Network::new(3)?;
        let server = network.host(0).start(Role::Oracle, &Options::new())?;
        assert_eq!(server.address().ip(), network.host(0).address());
        let mut one = network.host(1).connect(server.address())?;
        let mut two = network.host(2).connect(server.address())?;
        ping(&mut one)?;
        ping(&mut two)?;
        // What is asked comes through, what is answered does not.
        network.cut_way(0, 1);
        one.send(&["SET", "a", "1"])?;
        wait_until("the command came through", || {
            Ok(two.command("GET a")?.text() == Some("1"))
        })?;
        assert!(one.receive_within(SHORT)?.is_none(), "the answer did not");
        network.heal_all();
        assert_eq!(one.receive()?.text(), Some("OK"), "TCP sends it again");
        network.cut(0, 1);
        one.send(&["SET", "a", "2"])?;
        assert!(one.receive_within(SHORT)?.is_none(), "cut");
        assert_eq!(two.command("GET a")?.text(), Some("1"));
        network.heal(1, 0);
        assert_eq!(one.receive()?.text(), Some("OK"));
        network.isolate(0);
        two.send(&["PING"])?;
        assert!(two.receive_within(SHORT)?.is_none(), "cut off");
        network.heal_all();
        assert_eq!(two.receive()?.text(), Some("PONG"));
        Ok(())
    }

    #[test]
    fn a_slow_host_answers_late_and_big_values_come_through_whole() -> Result<()> {
        let network = Network::new(2)?;
        let server = network.host(0).start(Role::Oracle, &Options::new())?;
        let mut client = network.host(1).connect(server.address())?;
        let value = vec![b'v'; 4 << 20];
        client.call(&[b"SET".as_slice(), b"big", &value])?;
        network.slow(0, Duration::from_millis(200));
        let begin = Instant::now();
        ping(&mut client)?;
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(400), "there and back: {took:?}");
        network.slow(0, Duration::ZERO);
        let reply = client.call(&["GET", "big"])?;
        assert_eq!(reply.bytes().map(<[u8]>::len), Some(value.len()));
        Ok(())
    }

    #[test]
    fn networks_do_not_see_each_other_and_leave_nothing_behind() -> Result<()> {
        let (a, b) = (Network::new(2)?, Network::new(2)?);
        let server = a.host(0).start(Role::Oracle, &Options::new())?;
        a.host(1).connect(server.address())?;
        let Err(refused) = b.host(1).connect(server.address()) else {
            bail!("another network's server was reached");
        };
        assert!(format!("{refused:#}").contains("refused"), "{refused:#}");
        assert!(
            b.host(1).connect("192.0.2.1:80".parse()?).is_err(),
            "no host of ours"
        );
        let wire = Arc::downgrade(&b.wire);
        drop(b);
        assert!(
            wire.upgrade().is_none(),
            "its threads have ended and its devices are closed"
        );
        Ok(())
    }
}
