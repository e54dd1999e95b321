//! Performs what the engine decides: a thread that ticks it, a thread that writes its log, the bus over gRPC. The server
//! holds a [`ClusterHandle`].
//!
//! ```text
//! mod.rs      options, start               driver.rs  the thread of the engine
//! handle.rs   what the server holds        writer.rs  the thread of the log
//! bus.rs      connections, in and out      auth.rs    who may speak on the bus
//! door.rs     strangers are sent away      notices.rs what operators are told, not too often
//! ```
//!
//! What the server owes it:
//!
//! - [`ClusterHandle::report`] every `failover_ms / 20`, and at once when the data become whole or cease to be. A node that
//!   does not report `ready` gets no lease and is not promoted.
//! - A command for a slot runs as the primary's only if [`crate::state::View::may_serve`] says so and
//!   [`ClusterHandle::lease_holds`]; both are asked under the slot's lock, before the reply is made.
//! - The primary tells who is in sync by [`crate::state::Entry::InSync`]: a replica that lags is taken out before replies go
//!   on. Only an in-sync replica is promoted without an operator.
//! - Before [`crate::state::Entry::MigrationCommit`], the source stops writes to the slots; it goes on if the entry is
//!   rejected, and stays stopped while the answer is `Unknown`.
//! - An observer that takes [`Event::Replaced`] and [`Event::Changed`] for a reason to look at the whole view.
//!
//! Must not know: what is decided, and why.

mod auth;
mod bus;
mod clock;
mod door;
mod driver;
mod handle;
mod notices;
mod peers;
mod writer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub use auth::{Security, Tls};
pub use clock::monotonic_ms;
pub use handle::{ClusterHandle, MeetError, Peer};

use crate::engine::{Config, Engine, Event, Founding};
use crate::state::ViewCell;
use crate::storage::{DiskStore, Store, StoreError};

/// What a node's control plane needs to run.
pub struct Options {
    /// The engine's configuration.
    pub engine: Config,
    /// Names for the node, should it start for the first time.
    pub founding: Founding,
    /// The file of the log.
    pub path: PathBuf,
    /// Where the bus listens. Without [`Security`] this should be one interface, not all.
    pub listen: Vec<SocketAddr>,
    /// Who may speak on the bus.
    pub security: Security,
    /// Called for each event, on the engine's thread: it must not block.
    pub observer: Box<dyn FnMut(&Event) + Send>,
}

/// Why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log is not one of this version.
    #[error(transparent)]
    Malformed(#[from] crate::codec::Malformed),
    /// The bus cannot listen, or a thread cannot begin.
    #[error("the cluster bus: {0}")]
    Io(#[from] std::io::Error),
    /// Certificates or keys are not what they should be.
    #[error("the cluster bus: {0}")]
    Tls(String),
}

/// Inputs that may wait for the engine.
const MAX_INPUTS: usize = 8192;

/// Starts a node's control plane. It runs until the handle's `stop`, or until the handle is gone.
///
/// # Errors
/// See [`StartError`].
pub fn start(options: Options) -> Result<ClusterHandle, StartError> {
    let mut store = DiskStore::open(&options.path)?;
    let restored = store.load()?;
    let endpoint = options.engine.endpoint.clone();
    let (engine, output) = Engine::start(options.engine, restored, options.founding, monotonic_ms())?;
    let mut listeners = Vec::new();
    for address in &options.listen {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        listeners.push(listener);
    }
    let (inputs, queue) = mpsc::channel(MAX_INPUTS);
    let (written, written_queue) = mpsc::unbounded_channel();
    let view = output
        .view
        .clone()
        .expect("an engine shows a view when it starts");
    let shared = Arc::new(handle::Shared {
        view: ViewCell::new(view),
        lease_until: std::sync::atomic::AtomicU64::new(0),
        contact_at: std::sync::atomic::AtomicU64::new(0),
        status: Mutex::new(engine.status()),
        node: Mutex::new(engine.node_id()),
        peers: peers::Peers::default(),
        notices: notices::Notices::default(),
        boundless: options.security.is_open(),
        bus_port: endpoint.bus_port,
    });
    let (writer, log_thread) = writer::start(Box::new(store), written)?;
    let tls = options.security.tls()?;
    let (ready, readied) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let driver = driver::Driver {
        engine,
        observer: options.observer,
        shared: Arc::clone(&shared),
        writer,
        queue,
        written: written_queue,
        waiting: Default::default(),
        next_token: 0,
        meetings: Vec::new(),
    };
    let bus = bus::Parts {
        listeners,
        security: options.security,
        tls,
        inputs: inputs.clone(),
    };
    let thread = std::thread::Builder::new()
        .name("cluster".to_owned())
        .spawn(move || driver::run(driver, bus, output, stopped, ready))?;
    // A listener that cannot be used shows here, not at the first message.
    match readied.blocking_recv() {
        Ok(Ok(())) => Ok(ClusterHandle::new(inputs, shared, stop, vec![thread, log_thread])),
        Ok(Err(error)) => Err(StartError::Io(error)),
        Err(_) => Err(StartError::Io(std::io::Error::other(
            "the thread of the cluster ended",
        ))),
    }
}
