//! Listening sockets, and who gets the connections: the worker with the fewest.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use crate::client::{Client, flag};
use crate::config::Param;
use crate::net::connection::{self, Connection};
use crate::net::stream::Stream;
use crate::server::{SPARE_ROW, Server};
use crate::worker::Worker;

/// A connection on its way to a worker.
#[derive(Debug)]
pub enum Accepted {
    /// Over TCP.
    Tcp(std::net::TcpStream, SocketAddr),
    /// Over TLS; nothing has been said yet.
    Tls(std::net::TcpStream, SocketAddr),
    /// Over a unix socket.
    Unix(std::os::unix::net::UnixStream),
}

/// The way to one worker.
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    row: usize,
    sender: mpsc::UnboundedSender<Accepted>,
    connections: Arc<AtomicUsize>,
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub socket: std::net::TcpListener,
    /// Those who connect speak TLS.
    pub tls: bool,
}

/// Binds `bind` x `port` and `bind` x `tls-port`. Addresses behind `-` may be missing.
///
/// # Errors
/// An address cannot be bound; the text names it.
pub fn bind_tcp(server: &Server) -> io::Result<Vec<Listening>> {
    let mut listeners = Vec::new();
    for (param, tls) in [(Param::Port, false), (Param::TlsPort, true)] {
        let port = server.config.int(param) as u16;
        if port != 0 {
            let sockets = bind_port(server, port)?;
            listeners.extend(sockets.into_iter().map(|socket| Listening { socket, tls }));
        }
    }
    Ok(listeners)
}

fn bind_port(server: &Server, port: u16) -> io::Result<Vec<std::net::TcpListener>> {
    let backlog = server.config.int(Param::TcpBacklog) as i32;
    let mut listeners = Vec::new();
    for (address, optional) in server.config.bind() {
        match bind_one(&address, port, backlog) {
            Ok(l) => listeners.push(l),
            Err(e) if optional && is_missing(&e) => {
                tracing::debug!(%address, error = %e, "skipping an optional address");
            }
            Err(e) => {
                return Err(io::Error::new(
                    e.kind(),
                    format!("Could not create server TCP listening socket {address}:{port}: bind: {e}"),
                ));
            }
        }
    }
    Ok(listeners)
}

fn is_missing(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
    ) || matches!(
        e.raw_os_error(),
        Some(nix::libc::EAFNOSUPPORT | nix::libc::EPROTONOSUPPORT)
    )
}

fn bind_one(address: &str, port: u16, backlog: i32) -> io::Result<std::net::TcpListener> {
    let address: SocketAddr = match address {
        "*" => (IpAddr::from([0u8; 4]), port).into(),
        "::*" => (IpAddr::from([0u16; 8]), port).into(),
        name => (name, port)
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "no such address"))?,
    };
    bind_socket(address, backlog)
}

/// Listens on one address.
///
/// # Errors
/// As the system says.
pub fn bind_address(address: SocketAddr, server: &Server) -> io::Result<std::net::TcpListener> {
    bind_socket(address, server.config.int(Param::TcpBacklog) as i32)
}

fn bind_socket(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Binds the unix socket, if one is configured. A file that is left over is replaced.
///
/// # Errors
/// As the system says, with the path.
pub fn bind_unix(server: &Server) -> io::Result<Option<std::os::unix::net::UnixListener>> {
    let path = server.config.text(Param::Unixsocket);
    if path.is_empty() {
        return Ok(None);
    }
    let path = String::from_utf8_lossy(&path).into_owned();
    let named =
        |e: io::Error| io::Error::new(e.kind(), format!("Failed opening Unix socket: bind: {path}: {e}"));
    if Path::new(&path).exists() {
        std::fs::remove_file(&path).map_err(named)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(&path).map_err(named)?;
    let mode = server.config.int(Param::Unixsocketperm) as u32;
    if mode != 0 {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(named)?;
    }
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

/// Starts the worker threads.
///
/// # Errors
/// A thread or its runtime cannot be made.
pub fn start_workers(
    server: &Arc<Server>,
) -> io::Result<(Vec<WorkerHandle>, Vec<std::thread::JoinHandle<()>>)> {
    let mut handles = Vec::new();
    let mut threads = Vec::new();
    for id in 0..server.threads {
        let (handle, thread) = start_worker(server, id, &format!("worker-{id}"))?;
        handles.push(handle);
        threads.push(thread);
    }
    Ok((handles, threads))
}

/// `row`: of its counters.
fn start_worker(
    server: &Arc<Server>,
    row: usize,
    name: &str,
) -> io::Result<(WorkerHandle, std::thread::JoinHandle<()>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let connections = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(server);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(61)
        .on_thread_park(move || connection::before_sleep(&asked, row))
        .build()?;
    let (server, count) = (Arc::clone(server), Arc::clone(&connections));
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
        Worker::install(Worker::new(Arc::clone(&server), row));
        let gate = Arc::clone(&server);
        runtime.block_on(async {
            tokio::spawn(async move { gate.gate.serve(row).await });
            work(server, receiver, count).await;
        });
    })?;
    let handle = WorkerHandle {
        row,
        sender,
        connections,
    };
    Ok((handle, thread))
}

async fn work(server: Arc<Server>, mut receiver: mpsc::UnboundedReceiver<Accepted>, count: Arc<AtomicUsize>) {
    loop {
        let accepted = tokio::select! {
            () = server.shutdown.cancelled() => return,
            accepted = receiver.recv() => accepted,
        };
        let Some(accepted) = accepted else { return };
        let count = Arc::clone(&count);
        let place = Place(count);
        if let Accepted::Tls(stream, peer) = accepted {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                match shake_hands(&server, stream, peer).await {
                    Ok(connection) => connection::serve(connection).await,
                    Err(error) => {
                        tracing::warn!("Error accepting a client connection: {error} (addr={peer})");
                    }
                }
                drop(place);
            });
            continue;
        }
        match open(&server, accepted) {
            Ok(connection) => {
                tokio::spawn(async move {
                    connection::serve(connection).await;
                    drop(place);
                });
            }
            Err(error) => tracing::debug!(%error, "a connection ended before it began"),
        }
    }
}

/// A connection's place in the count of its worker's; given back even if a command panics.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The beginning of a connection over TLS. It counts as a client from the start, and has its time.
async fn shake_hands(
    server: &Arc<Server>,
    stream: std::net::TcpStream,
    peer: SocketAddr,
) -> io::Result<Connection> {
    /// A peer that says nothing is not waited for.
    const PATIENCE: Duration = Duration::from_secs(10);
    let _counted = server.clients.handshake();
    let laddr = stream.local_addr()?.to_string();
    let fd = stream.as_raw_fd();
    let Some(config) = server.tls.current().server else {
        return Err(io::Error::other("TLS has been switched off"));
    };
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let handshake = tokio_rustls::TlsAcceptor::from(config).accept(stream);
    let stream = tokio::time::timeout(PATIENCE, handshake)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no handshake within ten seconds"))??;
    Ok(enter(
        server,
        Stream::Tls(Box::new(stream)),
        peer.to_string(),
        laddr,
        fd,
    ))
}

/// Makes a connection out of a socket: runs on the worker that will serve it.
fn open(server: &Arc<Server>, accepted: Accepted) -> io::Result<Connection> {
    match accepted {
        Accepted::Tcp(s, peer) | Accepted::Tls(s, peer) => {
            let laddr = s.local_addr()?.to_string();
            let fd = s.as_raw_fd();
            let stream = Stream::Tcp(tokio::net::TcpStream::from_std(s)?);
            Ok(enter(server, stream, peer.to_string(), laddr, fd))
        }
        Accepted::Unix(s) => {
            let path = String::from_utf8_lossy(&server.config.text(Param::Unixsocket)).into_owned();
            let fd = s.as_raw_fd();
            let addr = format!("{path}:0");
            let stream = Stream::Unix(tokio::net::UnixStream::from_std(s)?);
            Ok(enter(server, stream, addr.clone(), addr, fd))
        }
    }
}

/// A client has come.
fn enter(server: &Arc<Server>, stream: Stream, addr: String, laddr: String, fd: i32) -> Connection {
    let unix = matches!(stream, Stream::Unix(_));
    let client = Arc::new(Client::new(
        server.clients.next_id(),
        addr,
        laddr,
        fd,
        server.now_ms(),
        unix,
    ));
    client.set_flag(flag::TLS, matches!(stream, Stream::Tls(_)));
    server.apply_output_limit(&client);
    server.clients.add(Arc::clone(&client));
    tracing::debug!(client = client.id, addr = client.addr, "accepted");
    Connection::new(stream, Arc::clone(server), client)
}

/// Accepts until the server ends.
pub async fn accept_tcp(server: Arc<Server>, listener: TcpListener, tls: bool, workers: Vec<WorkerHandle>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match stream.into_std() {
                Ok(stream) => {
                    if let Err(error) = admit_tcp(&server, stream, peer, tls, &workers) {
                        tracing::debug!(%error, "a connection could not be set up");
                    }
                }
                Err(error) => tracing::debug!(%error, "a connection could not be set up"),
            },
            Err(error) => accept_failed(&error).await,
        }
    }
}

/// Accepts until the server ends.
pub async fn accept_unix(server: Arc<Server>, listener: UnixListener, workers: Vec<WorkerHandle>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match stream.into_std() {
                Ok(stream) if server.clients.count() < max_clients(&server) => {
                    count_connection(&server, true);
                    give(&server, &workers, Accepted::Unix(stream));
                }
                Ok(stream) => refuse(&server, SockRef::from(&stream), TOO_MANY),
                Err(error) => tracing::debug!(%error, "a connection could not be set up"),
            },
            Err(error) => accept_failed(&error).await,
        }
    }
}

/// Out of descriptors, mostly: the next try comes when some may have been closed.
async fn accept_failed(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

const TOO_MANY: &str = "-ERR max number of clients reached\r\n";
const PROTECTED: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers, either set a password with 'requirepass' (CONFIG SET requirepass <password>, also in the configuration file), or disable protected mode with CONFIG SET protected-mode no after making sure that the server cannot be reached from the internet, or name the addresses to listen on with 'bind'.\r\n";

fn max_clients(server: &Server) -> usize {
    server.config.int(Param::Maxclients) as usize
}

fn admit_tcp(
    server: &Arc<Server>,
    stream: std::net::TcpStream,
    peer: SocketAddr,
    tls: bool,
    workers: &[WorkerHandle],
) -> io::Result<()> {
    if server.clients.count() >= max_clients(server) {
        refuse(server, SockRef::from(&stream), if tls { "" } else { TOO_MANY });
        return Ok(());
    }
    if server.config.flag(Param::ProtectedMode) && server.acl.users.default_is_open() && !is_loopback(&peer) {
        refuse(server, SockRef::from(&stream), if tls { "" } else { PROTECTED });
        return Ok(());
    }
    stream.set_nodelay(true)?;
    let seconds = server.config.int(Param::TcpKeepalive);
    if seconds > 0 {
        let idle = Duration::from_secs(seconds as u64);
        let probe = TcpKeepalive::new()
            .with_time(idle)
            .with_interval((idle / 3).max(Duration::from_secs(1)))
            .with_retries(3);
        SockRef::from(&stream).set_tcp_keepalive(&probe)?;
    }
    count_connection(server, true);
    let accepted = if tls {
        Accepted::Tls(stream, peer)
    } else {
        Accepted::Tcp(stream, peer)
    };
    give(server, workers, accepted);
    Ok(())
}

fn is_loopback(peer: &SocketAddr) -> bool {
    match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
    }
}

fn refuse(server: &Server, socket: SockRef<'_>, text: &str) {
    count_connection(server, false);
    // Over TLS the text would only break the handshake; the end of the connection says as much.
    let _best_effort = socket.send(text.as_bytes());
}

fn count_connection(server: &Server, welcome: bool) {
    let mut counters = crate::stats::Counters::default();
    if welcome {
        counters.connections = 1;
    } else {
        counters.rejected_connections = 1;
    }
    server.stats.add(server.threads, &mut counters);
}

fn give(server: &Arc<Server>, workers: &[WorkerHandle], accepted: Accepted) {
    if let Some(worker) = choose(server, workers) {
        worker.connections.fetch_add(1, Ordering::Relaxed);
        if worker.sender.send(accepted).is_err() {
            tracing::debug!("the worker has ended");
        }
    }
}

/// The worker with the fewest connections, of those that no script keeps busy. While one is over its time, others may
/// wait for what it has locked: whoever comes to end it must be served by a thread that does not.
fn choose<'w>(server: &'w Arc<Server>, workers: &'w [WorkerHandle]) -> Option<&'w WorkerHandle> {
    let busy = &server.scripts.busy;
    let fewest = |free: bool| {
        workers
            .iter()
            .filter(|w| !free || !busy.is_stalled(w.row))
            .min_by_key(|w| w.connections.load(Ordering::Relaxed))
    };
    let free = if busy.text().is_none() { fewest(true) } else { None };
    free.or_else(|| spare(server)).or_else(|| fewest(false))
}

fn spare(server: &Arc<Server>) -> Option<&WorkerHandle> {
    if server.spare.get().is_none() {
        match start_worker(server, server.threads + SPARE_ROW, "worker-spare") {
            // It ends with the server; nobody need wait for it.
            Ok((handle, _thread)) => drop(server.spare.set(handle)),
            Err(error) => tracing::warn!(%error, "no further worker can be started while a script runs"),
        }
    }
    server.spare.get()
}
