//! Every transcript once more, without process and socket: on sessions and a worker of this thread.
//!
//! What passes over a socket and fails here, or the other way round, points at the connection rather than at the
//! commands; and a debugger can step from the command line to the handler.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use holdfast_resp::OwnedFrame;
use holdfast_server::blocking::{self, Waiter};
use holdfast_server::client::Client;
use holdfast_server::config::{Invocation, parse_command_line};
use holdfast_server::server::Server;
use holdfast_server::session::{Flow, Session};
use holdfast_server::worker::Worker;
use holdfast_server::{cron, reclaim};
use holdfast_tests::reply::{DecodeError, Reply, encode_command};
use holdfast_tests::transcript::{Endpoint, Expect, Received, Transcript, run};
use holdfast_tests::wait::look_for;

/// The server's allocator: it measures what is in use by it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A server without sockets.
struct InProcess {
    server: Arc<Server>,
    worker: Worker,
    links: BTreeMap<u32, Link>,
}

/// One connection.
struct Link {
    session: Session,
    /// What the client has not received yet.
    out: Vec<u8>,
    /// What it sent while it could not be served.
    backlog: Vec<u8>,
    waiting: Waiting,
    closing: bool,
}

enum Waiting {
    Nothing,
    Keys {
        waiter: Arc<Waiter>,
        until: Option<Instant>,
    },
    Pause(OwnedFrame),
}

impl InProcess {
    fn start() -> Result<InProcess> {
        const WORKERS: usize = 1;
        static DIR: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
        // SAVE writes into the working directory.
        let dir = DIR.get_or_init(|| tempfile::tempdir().expect("a directory for the test"));
        std::env::set_current_dir(dir.path())?;
        let words = ["--save", "", "--enable-debug-command", "yes"].map(Into::into);
        let Invocation::Run { config } = parse_command_line(&words, &mut std::io::empty())? else {
            anyhow::bail!("the command line starts no server");
        };
        let (server, garbage) = Server::new(*config, WORKERS);
        // Expired keys go and garbage is freed in the background, as in the real process.
        let cron = Arc::clone(&server);
        std::thread::spawn(move || cron::run(&cron, WORKERS + 1));
        let reclaimer = Arc::clone(&server);
        std::thread::spawn(move || reclaim::run(&reclaimer.reclaim, &garbage, |_| ()));
        let worker = Worker::new(Arc::clone(&server), 0);
        Ok(InProcess {
            server,
            worker,
            links: BTreeMap::new(),
        })
    }

    fn open(&mut self, connection: u32) {
        let server = Arc::clone(&self.server);
        self.links.entry(connection).or_insert_with(|| {
            let address = format!("127.0.0.1:{}", 50_000 + connection);
            let id = server.clients.next_id();
            let client = Arc::new(Client::new(
                id,
                address,
                "127.0.0.1:6379".to_owned(),
                -1,
                server.now_ms(),
                false,
            ));
            server.apply_output_limit(&client);
            server.clients.add(Arc::clone(&client));
            let session = Session::new(Arc::clone(&server), client);
            Link {
                session,
                out: Vec::new(),
                backlog: Vec::new(),
                waiting: Waiting::Nothing,
                closing: false,
            }
        });
    }
}

impl Link {
    /// Executes what was sent, as far as it can be.
    fn run(&mut self, worker: &mut Worker) {
        while matches!(self.waiting, Waiting::Nothing) && !self.backlog.is_empty() && !self.closing {
            let bytes = std::mem::take(&mut self.backlog);
            let mut input = bytes.as_slice();
            worker.begin_batch();
            let flow = self.session.process(&mut input, worker, usize::MAX);
            self.after(flow, worker);
            self.backlog = input.to_vec();
        }
    }

    fn after(&mut self, flow: Flow, worker: &mut Worker) {
        self.out.extend_from_slice(worker.reply.as_bytes());
        worker.reply.clear();
        worker.end_batch();
        match flow {
            Flow::Continue => {}
            // A replica's bytes would follow: the scheduler knows none.
            Flow::Close | Flow::Replica(_) => self.closing = true,
            Flow::Blocked(wait) => {
                let until = wait
                    .timeout_ms
                    .map(|ms| Instant::now() + Duration::from_millis(ms));
                self.waiting = Waiting::Keys {
                    waiter: wait.waiter,
                    until,
                };
            }
            Flow::Paused(frame) => self.waiting = Waiting::Pause(frame),
        }
        if matches!(self.waiting, Waiting::Nothing) {
            self.session.client.take_mail(&mut self.out);
        }
    }

    /// What the connection's task does when it is woken.
    fn wake(&mut self, server: &Server, worker: &mut Worker) {
        match std::mem::replace(&mut self.waiting, Waiting::Nothing) {
            Waiting::Nothing => {}
            Waiting::Keys { waiter, until } => {
                let late = until.is_some_and(|until| Instant::now() >= until);
                if !waiter.is_done() && late && blocking::cancel(server, &waiter) {
                    self.out.extend_from_slice(&blocking::timeout_reply(&waiter));
                } else if !waiter.is_done() {
                    self.waiting = Waiting::Keys { waiter, until };
                    return;
                }
            }
            Waiting::Pause(frame) if server.is_paused() => {
                self.waiting = Waiting::Pause(frame);
                return;
            }
            Waiting::Pause(frame) => {
                if let Some(frame) = frame.frame() {
                    worker.begin_batch();
                    worker.reply.set_proto(self.session.proto);
                    let flow = self.session.execute(frame, worker);
                    self.after(flow, worker);
                }
            }
        }
        self.session.client.take_mail(&mut self.out);
        self.run(worker);
    }
}

impl Endpoint for InProcess {
    fn send(&mut self, connection: u32, args: &[Vec<u8>]) -> Result<()> {
        self.open(connection);
        let link = self
            .links
            .get_mut(&connection)
            .context("the connection was just opened")?;
        encode_command(args, &mut link.backlog);
        link.run(&mut self.worker);
        Ok(())
    }

    fn receive(&mut self, connection: u32, wait: Duration) -> Result<Received> {
        self.open(connection);
        let received = look_for(wait, || {
            let link = self
                .links
                .get_mut(&connection)
                .context("the connection is open")?;
            link.wake(&self.server, &mut self.worker);
            match Reply::decode(&link.out) {
                Ok((reply, used)) => {
                    link.out.drain(..used);
                    return Ok(Some(Received::Reply(reply)));
                }
                Err(DecodeError::Malformed) => {
                    anyhow::bail!("no reply: {:?}", String::from_utf8_lossy(&link.out))
                }
                Err(DecodeError::Incomplete) => {}
            }
            if link.closing || link.session.client.is_killed() {
                if let Some(mut link) = self.links.remove(&connection) {
                    link.session.close();
                }
                return Ok(Some(Received::Closed));
            }
            Ok(None)
        })?;
        Ok(received.unwrap_or(Received::Nothing))
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.server.shutdown.cancel();
    }
}

#[test]
fn transcripts_hold_in_process() -> Result<()> {
    let wanted = std::env::var("TRANSCRIPT").unwrap_or_default();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut failures = Vec::new();
    let entries = std::fs::read_dir(&dir)?.chain(std::fs::read_dir(dir.join("newer"))?);
    for entry in entries {
        let path = entry?.path();
        let named = path
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().contains(&wanted));
        if !named || path.is_dir() {
            continue;
        }
        match run(
            &Transcript::read(&path)?,
            &mut InProcess::start()?,
            Expect::Holdfast,
        ) {
            Ok(found) => failures.extend(found),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} steps differ:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
    Ok(())
}
