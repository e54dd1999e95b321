//! From a configuration to a running server and back: limits, pid file, sockets, threads, signals, the orderly end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use holdfast_storage::keyspace::ShardSet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, LogLevel, Param, SHUTDOWN_FORCE, SHUTDOWN_NOSAVE, SHUTDOWN_NOW, SHUTDOWN_SAVE};
use crate::ending::{self, Manner};
use crate::net::listener::{self, Listening, WorkerHandle};
use crate::replication::replica;
use crate::server::{LOADER_ROW, REDIS_VERSION, RebindReply, Server, VERSION};
use crate::{acl, aof, cluster, cron, encryption, logging, memory, reclaim, saving};

/// Descriptors beside those of clients: listeners, files, runtimes.
const RESERVED_FILES: u64 = 32;

/// Runs a server until it is told to end.
///
/// # Errors
/// It could not start: a directory, file or address is not to be had. The text is for the operator.
pub fn run(config: Config) -> anyhow::Result<()> {
    let dir = text(&config, Param::Dir);
    std::env::set_current_dir(&dir).with_context(|| format!("Can't chdir to '{dir}'"))?;
    if config.flag(Param::Daemonize) {
        daemonize::Daemonize::new()
            .working_directory(&dir)
            .start()
            .context("can't run in the background")?;
    }
    let logfile = text(&config, Param::Logfile);
    let level = LogLevel::from_code(config.int(Param::Loglevel));
    logging::start(&logfile, level).with_context(|| format!("Can't open the log file {logfile}"))?;
    banner(&config);
    raise_file_limit(&config);
    let pidfile = pidfile(&config);
    let threads = config.int(Param::IoThreads).max(1) as usize;
    let (server, garbage) = Server::new(config, threads);
    // Before any thread starts: what is not loaded yet must not be taken for the data. A rewrite of the append-only file
    // would put an empty one in its place.
    server.set_loading(true);
    encryption::read_keys(&server)
        .inspect_err(|error| tracing::error!("{error}"))
        .context("FATAL: encryption-key-file")?;
    acl::load_at_start(&server).map_err(anyhow::Error::msg)?;

    cluster::start(&server)
        .inspect_err(|error| tracing::warn!("{error}"))
        .map_err(anyhow::Error::msg)?;
    server.tls.configure(&server.config).map_err(|error| {
        tracing::warn!("{error}");
        anyhow::anyhow!("Failed to configure TLS: {error}")
    })?;
    let tcp = listener::bind_tcp(&server).inspect_err(|e| failed(&server, e))?;
    let unix = listener::bind_unix(&server).inspect_err(|e| failed(&server, e))?;
    if tcp.is_empty() && unix.is_none() {
        bail!("Configured to not listen anywhere, exiting.");
    }
    note_port(&server);
    if let Some(path) = &pidfile
        && let Err(error) = std::fs::write(path, format!("{}\n", std::process::id()))
    {
        tracing::warn!(path, %error, "Failed to write PID file");
    }
    set_title(&server);
    tracing::info!("Server initialized");

    let reclaimer = {
        let server = Arc::clone(&server);
        std::thread::Builder::new()
            .name("reclaim".into())
            .spawn(move || {
                let row = server.threads + 2;
                reclaim::run(&server.reclaim, &garbage, |n| {
                    memory::publish(row);
                    let mut counters = crate::stats::Counters {
                        lazyfreed: n,
                        ..Default::default()
                    };
                    server.stats.add(row, &mut counters);
                });
            })?
    };
    drop(reclaimer); // it ends with the process: nothing waits for garbage
    let cron = {
        let server = Arc::clone(&server);
        std::thread::Builder::new()
            .name("cron".into())
            .spawn(move || cron::run(&server, server.threads + 1))?
    };
    let (workers, threads) = listener::start_workers(&server)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (rebind, mut rebinds) = tokio::sync::mpsc::unbounded_channel::<RebindReply>();
    let _first = server.listeners.set(rebind);
    runtime.block_on(async {
        let mut accepting = spawn_acceptors(&server, tcp, &workers)?;
        if let Some(l) = unix {
            let l = tokio::net::UnixListener::from_std(l)?;
            tokio::spawn(listener::accept_unix(Arc::clone(&server), l, workers.clone()));
            tracing::info!(
                "The server is now ready to accept connections at {}",
                text(&server.config, Param::Unixsocket)
            );
        }
        let mut loading = Some(load(&server)?);
        let mut ends = Ends::new()?;
        loop {
            tokio::select! {
                why = ends.next(&server) => {
                    if may_end(&server, why).await {
                        return Ok(());
                    }
                }
                loaded = async { loading.as_mut().expect("checked by the condition").await }, if loading.is_some() => {
                    loading = None;
                    if let Ok(Err(error)) | Err(error) = loaded.map_err(|_| "the thread that loads has ended".to_owned()) {
                        tracing::error!("Fatal error loading the DB: {error}. Exiting.");
                        return Err(io::Error::other(format!("Fatal error loading the DB: {error}")));
                    }
                    cluster::claim::loaded(&server).await;
                    server.set_loading(false);
                    say_ready(&server.config);
                }
                Some(reply) = rebinds.recv() => {
                    let result = rebind_now(&server, &mut accepting, &workers).await;
                    let _asker_left = reply.send(result.map_err(|e| e.to_string()));
                }
            }
        }
    })?;
    server.shutdown.cancel();
    server.loading.cancel();
    for thread in threads {
        let _ended = thread.join();
    }
    let _ended = cron.join();
    cluster::stop(&server);
    aof::end(&server);
    saving::save_the_rest(&server);
    if let Some(path) = &pidfile {
        tracing::info!("Removing the pid file.");
        let _best_effort = std::fs::remove_file(path);
    }
    let socket = text(&server.config, Param::Unixsocket);
    if !socket.is_empty() {
        tracing::info!("Removing the unix socket file.");
        let _best_effort = std::fs::remove_file(socket);
    }
    tracing::warn!("Holdfast is now ready to exit, bye bye...");
    Ok(())
}

fn say_ready(config: &Config) {
    let listening = [
        (config.int(Param::Port) != 0, "tcp"),
        (config.int(Param::TlsPort) != 0, "tls"),
        (!config.text(Param::Unixsocket).is_empty(), "unix"),
    ];
    for (_, kind) in listening.iter().filter(|(is_on, _)| *is_on) {
        tracing::info!("Ready to accept connections {kind}");
    }
}

/// The accept tasks, and the sockets they serve, to be listened on again if a rebind fails.
struct Accepting {
    tasks: tokio::task::JoinSet<()>,
    sockets: Vec<Listening>,
}

fn spawn_acceptors(
    server: &Arc<Server>,
    sockets: Vec<Listening>,
    workers: &[WorkerHandle],
) -> io::Result<Accepting> {
    let mut tasks = tokio::task::JoinSet::new();
    for Listening { socket, tls } in &sockets {
        let listener = tokio::net::TcpListener::from_std(socket.try_clone()?)?;
        tasks.spawn(listener::accept_tcp(
            Arc::clone(server),
            listener,
            *tls,
            workers.to_vec(),
        ));
    }
    Ok(Accepting { tasks, sockets })
}

/// Binds the configured addresses anew. New ones are bound while the old are still open; if they collide with the old
/// (another address set on the same port), the old are closed first and opened again on failure.
async fn rebind_now(
    server: &Arc<Server>,
    accepting: &mut Accepting,
    workers: &[WorkerHandle],
) -> io::Result<()> {
    let new = match listener::bind_tcp(server) {
        Ok(new) => new,
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && same_port(server, accepting) => {
            let addresses: Vec<_> = accepting
                .sockets
                .iter()
                .filter_map(|s| Some((s.socket.local_addr().ok()?, s.tls)))
                .collect();
            accepting.tasks.shutdown().await;
            accepting.sockets.clear();
            match listener::bind_tcp(server) {
                Ok(new) => new,
                Err(e) => {
                    let old = addresses
                        .into_iter()
                        .filter_map(|(address, tls)| {
                            let socket = listener::bind_address(address, server).ok()?;
                            Some(Listening { socket, tls })
                        })
                        .collect();
                    *accepting = spawn_acceptors(server, old, workers)?;
                    return Err(e);
                }
            }
        }
        Err(e) => return Err(e),
    };
    *accepting = spawn_acceptors(server, new, workers)?;
    note_port(server);
    Ok(())
}

/// INFO's `tcp_port`: the port for TLS if there is no other.
fn note_port(server: &Server) {
    let (plain, tls) = (server.config.int(Param::Port), server.config.int(Param::TlsPort));
    let port = if plain == 0 { tls } else { plain };
    server.tcp_port.store(port as u64, Ordering::Relaxed);
}

fn same_port(server: &Server, accepting: &Accepting) -> bool {
    let ports = [Param::Port, Param::TlsPort].map(|p| server.config.int(p) as u16);
    accepting
        .sockets
        .iter()
        .any(|s| s.socket.local_addr().is_ok_and(|a| ports.contains(&a.port())))
}

/// Begins to load the data on a thread of its own; until that is over, clients are told so.
/// [`run`] has set the flag before any thread was there.
fn load(server: &Arc<Server>) -> io::Result<tokio::sync::oneshot::Receiver<Result<(), String>>> {
    let (done, loaded) = tokio::sync::oneshot::channel();
    if let Some((host, port)) = server.config.replicaof() {
        // It follows as soon as it has loaded what it has.
        let mut all = server.keyspace.lock(&ShardSet::All);
        let functions = server.scripts.libraries.change();
        replica::follow(server, &mut all, &functions, host, port);
    }
    let server = Arc::clone(server);
    std::thread::Builder::new().name("load".into()).spawn(move || {
        let result = aof::load::at_start(&server);
        memory::retire(server.threads + LOADER_ROW);
        let _end_came_first = done.send(result.map_err(|e| e.to_string()));
    })?;
    Ok(loaded)
}

/// Saves before the end, if that is to be. False: it failed, and the server goes on.
async fn may_end(server: &Arc<Server>, why: End) -> bool {
    let flags = match why {
        End::Asked => return true, // SHUTDOWN has saved
        End::Signal(param) => server.config.int(param),
    };
    let manner = Manner {
        save: match (flags & SHUTDOWN_SAVE != 0, flags & SHUTDOWN_NOSAVE != 0) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            (false, false) => None,
        },
        now: flags & SHUTDOWN_NOW != 0,
        force: flags & SHUTDOWN_FORCE != 0,
    };
    if !server.ending.begin(None) {
        return false; // who has begun it ends it
    }
    let ends = Arc::clone(server);
    let ended = tokio::task::spawn_blocking(move || ending::go(&ends, manner)).await;
    ended.unwrap_or(manner.force)
}

/// Why the server is to end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// SHUTDOWN.
    Asked,
    /// A signal, about which this directive says more.
    Signal(Param),
}

/// What can bring the end. Signals are listened to all the time: one may come as soon as another's end was called off.
struct Ends {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Ends {
    fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. Loses none if it is dropped.
    async fn next(&mut self, server: &Server) -> End {
        loop {
            tokio::select! {
                _ = self.term.recv() => {
                    tracing::warn!("Received SIGTERM scheduling shutdown...");
                    return End::Signal(Param::ShutdownOnSigterm);
                }
                _ = self.int.recv() => {
                    tracing::warn!("Received SIGINT scheduling shutdown...");
                    return End::Signal(Param::ShutdownOnSigint);
                }
                _ = self.hup.recv() => tracing::info!("ignoring SIGHUP: the log file is opened anew for every line"),
                () = server.shutdown.cancelled() => {
                    tracing::warn!("User requested shutdown...");
                    return End::Asked;
                }
            }
        }
    }
}

fn text(config: &Config, param: Param) -> String {
    String::from_utf8_lossy(&config.text(param)).into_owned()
}

fn banner(config: &Config) {
    tracing::warn!("oO0OoO0OoO0Oo Holdfast is starting oO0OoO0OoO0Oo");
    tracing::warn!(
        "Holdfast version={VERSION}, compatible with Redis {REDIS_VERSION}, bits={}, pid={}, just started",
        usize::BITS,
        std::process::id()
    );
    match config.file() {
        Some(path) => tracing::warn!("Configuration loaded from {}", path.display()),
        None => tracing::warn!(
            "Warning: no config file specified, using the default config. To use one: holdfast /path/to/holdfast.conf"
        ),
    }
    let dir = std::env::current_dir().unwrap_or_default();
    tracing::info!(
        "Running mode={}, port={}, threads={}, dir={}",
        mode(config),
        config.int(Param::Port),
        config.int(Param::IoThreads).max(1),
        dir.display()
    );
    tracing::info!(" PID: {}", std::process::id());
    let ignored = config.ignored();
    if !ignored.is_empty() {
        let list: Vec<String> = ignored
            .iter()
            .map(|(name, why)| format!("{name} ({why})"))
            .collect();
        tracing::warn!(
            "These directives mean nothing here and are ignored: {}",
            list.join(", ")
        );
    }
}

/// `redis_mode` of INFO.
fn mode(config: &Config) -> &'static str {
    if config.flag(Param::ClusterEnabled) {
        "cluster"
    } else {
        "standalone"
    }
}

fn failed(server: &Server, error: &io::Error) {
    tracing::warn!("{error}");
    tracing::warn!(
        "Failed listening on port {} (tcp), aborting.",
        server.config.int(Param::Port)
    );
}

/// `pidfile`; with `daemonize`, Redis's default path if none is given.
fn pidfile(config: &Config) -> Option<String> {
    let path = text(config, Param::Pidfile);
    match (path.is_empty(), config.flag(Param::Daemonize)) {
        (false, _) => Some(path),
        (true, true) => Some("/var/run/redis.pid".into()),
        (true, false) => None,
    }
}

/// Raises the number of descriptors to what `maxclients` needs.
///
/// # Errors
/// The system does not allow so many; the text is CONFIG SET's.
pub fn allow_clients(config: &Config) -> Result<(), String> {
    let wanted = config.int(Param::Maxclients) as u64 + RESERVED_FILES;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| e.to_string())?;
    if soft >= wanted {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).map_err(|_| {
        format!(
            "The operating system is not able to handle the specified number of clients, try with {}",
            hard.saturating_sub(RESERVED_FILES)
        )
    })
}

/// At start fewer clients are taken if the system does not allow more, and the log says so.
fn raise_file_limit(config: &Config) {
    if allow_clients(config).is_ok() {
        return;
    }
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let clients = hard.saturating_sub(RESERVED_FILES).max(1);
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    tracing::warn!(
        ?raised,
        "You requested maxclients of {}, which the limit of {hard} open files does not allow: maxclients has been reduced to {clients}. Raise the limit with 'ulimit -n'.",
        config.int(Param::Maxclients)
    );
    let _stored = config.store(Param::Maxclients, &[clients.to_string().as_bytes()]);
}

/// The process's title, by `proc-title-template`.
fn set_title(server: &Server) {
    if !server.config.flag(Param::SetProcTitle) {
        return;
    }
    let template = text(&server.config, Param::ProcTitleTemplate);
    let bind = text(&server.config, Param::Bind);
    let first = bind.split_whitespace().next().unwrap_or("*");
    let host = if first.trim_start_matches('-').contains('*') {
        "*"
    } else {
        first
    };
    let socket = text(&server.config, Param::Unixsocket);
    let title = template
        .replace("{title}", "holdfast")
        .replace(
            "{listen-addr}",
            &format!("{host}:{}", server.config.int(Param::Port)),
        )
        .replace(
            "{server-mode}",
            if server.config.flag(Param::ClusterEnabled) {
                "[cluster]"
            } else {
                ""
            },
        )
        .replace("{port}", &server.config.int(Param::Port).to_string())
        .replace("{tls-port}", &server.config.int(Param::TlsPort).to_string())
        .replace("{unixsocket}", &socket)
        .replace(
            "{config-file}",
            &server
                .config
                .file()
                .map(|p| p.display().to_string())
                .unwrap_or_default(),
        );
    proctitle::set_title(title.trim());
}
