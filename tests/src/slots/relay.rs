//! A TCP relay before a node, whose connections a test cuts whenever it likes. It counts what goes through.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

#[derive(Default)]
struct Shared {
    links: Mutex<Vec<TcpStream>>,
    target: Mutex<Option<SocketAddr>>,
    bytes: AtomicU64,
    over: AtomicBool,
}

/// See the module's documentation.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Relay {
    /// Listens; connections end at once until it knows where they lead.
    ///
    /// # Errors
    /// There is no port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for link in listener.incoming().flatten() {
                if own.over.load(Ordering::Acquire) {
                    return;
                }
                let target = *own.target.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(Ok(far)) = target.map(TcpStream::connect) {
                    let _cut_already = join(&own, link, far);
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where connections lead from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
    }

    /// Bytes that have gone through, in both directions.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for link in self
            .shared
            .links
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            let _gone_already = link.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.cut();
        let _wakes_the_listener = TcpStream::connect(self.address);
    }
}

fn join(shared: &Arc<Shared>, near: TcpStream, far: TcpStream) -> std::io::Result<()> {
    let mut links = shared.links.lock().unwrap_or_else(PoisonError::into_inner);
    links.extend([near.try_clone()?, far.try_clone()?]);
    drop(links);
    for (mut from, mut to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                shared.bytes.fetch_add(n as u64, Ordering::Relaxed);
                if to.write_all(&bytes[..n]).is_err() {
                    break;
                }
            }
            let _gone_already = to.shutdown(Shutdown::Both);
            let _gone_already = from.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
