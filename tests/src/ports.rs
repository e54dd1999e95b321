//! Ports for servers, which nobody else takes between the choice and the server's bind.
//!
//! They lie below the ports that the system gives to outgoing connections, and a port and its cluster bus in bands of their
//! own:
//!
//! ```text
//! |  10,000 ports  |  10,000 bus ports, each 10,000 above its port  |  outgoing connections ...
//! ```
//!
//! A process never hands out a port twice, and begins at a place that follows from its id, so that processes which run at the
//! same time meet at different ports.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// Ports in each of the two bands, which is also how far a node's bus is above its port, unless it is told otherwise.
const BAND: u32 = 10_000;
/// Ports between the places at which processes with neighbouring ids begin; has no divisor in common with [`BAND`].
const STRIDE: u32 = 301;
/// The first port that takes no special right.
const UNPRIVILEGED: u32 = 1024;

/// A TCP port that nobody uses.
///
/// # Errors
/// None is left.
pub fn free_port() -> Result<u16> {
    next(|port| can_be_bound(port).then_some(port))
}

/// Ports of a cluster's node: for clients, and for its bus.
///
/// # Errors
/// None are left.
pub fn free_cluster_ports() -> Result<(u16, u16)> {
    next(|port| {
        let bus = port + BAND as u16;
        (can_be_bound(port) && can_be_bound(bus)).then_some((port, bus))
    })
}

/// Goes on through the band from where the last one was found.
fn next<T>(fits: impl Fn(u16) -> Option<T>) -> Result<T> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let first = first_of_band(&std::fs::read_to_string(
        "/proc/sys/net/ipv4/ip_local_port_range",
    )?)?;
    let begin = std::process::id().wrapping_mul(STRIDE) % BAND;
    loop {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        anyhow::ensure!(taken < BAND, "all ports of this process have been handed out");
        let port = first + (begin + taken) % BAND;
        if let Some(found) = fits(u16::try_from(port)?) {
            return Ok(found);
        }
    }
}

/// Where the band of ports begins, from the range of outgoing connections. Where there is no room below that, they overlap.
fn first_of_band(outgoing: &str) -> Result<u32> {
    let lowest: u32 = outgoing
        .split_whitespace()
        .next()
        .context("a range of ports")?
        .parse()?;
    Ok(lowest.saturating_sub(2 * BAND).max(UNPRIVILEGED))
}

fn can_be_bound(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_handed_out_twice() {
        let ports: BTreeSet<u16> = (0..50)
            .flat_map(|_| [free_port().unwrap(), free_cluster_ports().unwrap().0])
            .collect();
        assert_eq!(ports.len(), 100);
    }

    #[test]
    fn both_bands_lie_below_outgoing_connections() {
        let first = first_of_band("32768\t60999\n").unwrap();
        assert_eq!(first + 2 * BAND, 32768);
        assert_eq!(first_of_band("1024 65535").unwrap(), UNPRIVILEGED);
        assert!(first_of_band("").is_err());
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let used = free_port().unwrap();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, used)).unwrap();
        assert!(!can_be_bound(used));
    }
}
