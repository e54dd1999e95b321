//! MIGRATE: keys go to another server. <https://redis.io/commands/migrate>
//!
//! Redis stands still until the target has answered. Here only the client waits: the keys are packed under their locks
//! and watched while they travel; those that changed meanwhile are sent again, so that nothing that was acknowledged
//! is lost when they are deleted. Inside EXEC everything stands still, as in Redis.

mod target;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::limits::Limits;
use holdfast_commands::spec::{Arg, Begin, Find, Group, KeySpec, Spec};
use holdfast_rdb::{Dialect, payload};
use holdfast_resp::Reply;
use holdfast_storage::data::Data;
use holdfast_storage::keyspace::{Keyspace, Locked, ShardSet, WatchFlag};

use self::target::{Address, Parcel, Target, TargetError};
use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::blocking;
use crate::execute;
use crate::registry::Run;
use crate::server::Server;
use crate::session::{Flow, Replies, Wait};
use crate::worker::Worker;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&MIGRATE];

const MIGRATE: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "migrate",
        arity: -6,
        flags: flags!(Flags: WRITE, MOVABLEKEYS),
        acl: flags!(Acl: DANGEROUS, KEYSPACE),
        keys: &[
            KeySpec::one(3, flags!(KeyFlags: RW, ACCESS, DELETE)),
            KeySpec {
                notes: "",
                flags: flags!(KeyFlags: RW, ACCESS, DELETE, INCOMPLETE),
                begin: Begin::Keyword("KEYS", -2),
                find: Find::Range {
                    last: -1,
                    step: 1,
                    limit: 0,
                },
            },
        ],
        group: Group::Generic,
        since: "2.6.0",
        summary: "Moves keys to another server.",
        complexity: "That of DUMP and DEL here and of RESTORE there, and the time to send O(N) bytes",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::string("host"),
            Arg::integer("port"),
            Arg::one_of(
                "key_or_empty_string",
                &[Arg::key("key", 0), Arg::word("empty_string", "")],
            ),
            Arg::integer("destination-db"),
            Arg::integer("timeout"),
            Arg::word("copy", "COPY").opt().since("3.0.0"),
            Arg::word("replace", "REPLACE").opt().since("3.0.0"),
            Arg::one_of(
                "authentication",
                &[
                    Arg::string("password").token("AUTH").opt().since("4.0.7"),
                    Arg::block(
                        "username_password",
                        &[Arg::string("username"), Arg::string("password")],
                    )
                    .token("AUTH2")
                    .opt()
                    .since("6.0.0"),
                ],
            )
            .opt(),
            Arg::key("key", 1).token("KEYS").opt().multi().since("3.0.6"),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(migrate),
};

/// Patience where the client asks for none.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(1);
/// How often keys that change while they travel are sent again.
const ROUNDS: usize = 16;

/// What the client asked for.
#[derive(Clone, Debug)]
struct Plan {
    address: Address,
    /// Database that the keys are taken from.
    from_db: u32,
    copy: bool,
    replace: bool,
    compress: bool,
    dialect: Dialect,
    keys: Vec<Box<[u8]>>,
}

impl Plan {
    fn parse(args: Args<'_>, from_db: u32, limits: &Limits) -> Result<Self, CmdError> {
        let (mut copy, mut replace, mut auth) = (false, false, Vec::new());
        let mut keys = vec![Box::from(args.get(3))];
        let mut rest = args.cursor(6);
        while rest.left() > 0 {
            if rest.accept("COPY") {
                copy = true;
            } else if rest.accept("REPLACE") {
                replace = true;
            } else if rest.accept("AUTH") {
                auth = vec![rest.word()?.to_vec()];
            } else if rest.accept("AUTH2") {
                auth = vec![rest.word()?.to_vec(), rest.word()?.to_vec()];
            } else if rest.accept("KEYS") {
                if !args.get(3).is_empty() {
                    return Err(CmdError::msg(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                let mut seen = BTreeSet::new();
                keys = rest
                    .by_ref()
                    .filter(|key| seen.insert(*key))
                    .map(Box::from)
                    .collect();
            } else {
                return Err(CmdError::Syntax);
            }
        }
        let (patience_ms, db) = (args.int(5)?, args.int(4)?);
        Ok(Self {
            address: Address {
                host: String::from_utf8_lossy(args.get(1)).into_owned(),
                port: String::from_utf8_lossy(args.get(2)).into_owned(),
                db,
                patience: match u64::try_from(patience_ms) {
                    Ok(ms @ 1..) => Duration::from_millis(ms),
                    Ok(0) | Err(_) => DEFAULT_PATIENCE,
                },
                auth,
                asking: limits.cluster,
            },
            from_db,
            copy,
            replace,
            compress: limits.rdb_compression,
            dialect: limits.rdb_dialect,
            keys,
        })
    }

    fn shards(&self, keyspace: &Keyspace) -> ShardSet {
        let mut shards = ShardSet::none();
        for key in &self.keys {
            shards.add(keyspace.shard_of(keyspace.hash(key).slot));
        }
        shards
    }
}

fn migrate(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let plan = Plan::parse(args, call.session.db, &call.w.limits)?;
    let server = Arc::clone(&call.session.server);
    // Inside EXEC and scripts the command is over when it returns; so it is where nobody would take the job over.
    if call.locked.is_some() || tokio::runtime::Handle::try_current().is_err() {
        return call.with_all(|locked, w| standing_still(&plan, locked, w));
    }
    let mut journey = Journey::begin(server, plan, call.w);
    if journey.parcels.is_empty() {
        return no_key(&mut call.w.reply);
    }
    let session = &call.session;
    let muted = session.replies != Replies::On;
    let waiter =
        session
            .server
            .blocking
            .enter_job(&session.client, call.entry, session.db, session.proto, muted);
    let job = Arc::clone(&waiter);
    tokio::spawn(async move {
        let result = journey.run().await;
        let reply = Worker::with(|w, _| {
            let mut reply = Reply::new(Vec::new(), job.proto);
            match result {
                Ok(()) => reply.ok(),
                Err(error) => {
                    reply.error(&error.to_string());
                    w.count_error(error.to_string().as_bytes());
                }
            }
            reply.into_inner()
        });
        blocking::unblock(&journey.server, None, &job, &reply);
    });
    Ok(Flow::Blocked(Wait {
        waiter,
        timeout_ms: None,
    }))
}

fn no_key(reply: &mut Reply) -> ServerResult {
    reply.simple("NOKEY");
    Ok(Flow::Continue)
}

/// Packs those of the keys that are there. Their shards are locked.
fn pack(plan: &Plan, keys: &[Box<[u8]>], locked: &mut Locked<'_>, w: &mut Worker) -> Vec<Parcel> {
    let now_ms = w.now_ms;
    let mut data = Data::new(locked, plan.from_db, now_ms, &mut w.effects, &mut w.rng);
    data.access = w.access;
    let mut parcels = Vec::new();
    for key in keys {
        let Some(value) = data.get(key) else { continue };
        let payload = payload::dump(value, plan.compress, plan.dialect);
        let ttl_ms = match data.peek_entry(key).and_then(|e| e.expire_at_ms()) {
            Some(at) => at.saturating_sub(now_ms).max(1),
            None => 0,
        };
        parcels.push(Parcel {
            key: key.clone(),
            ttl_ms,
            payload,
        });
    }
    parcels
}

/// What arrived (indices of parcels), and how it ended.
type Sent = (Vec<usize>, Result<(), TargetError>);

async fn send(target: &mut Target, parcels: &[Parcel], replace: bool) -> Sent {
    let (mut arrived, mut refused) = (Vec::new(), None);
    let ended = target.restore(parcels, replace, |i, answer| match answer {
        Ok(()) => arrived.push(i),
        Err(text) => refused = refused.take().or(Some(TargetError::Refused(text))),
    });
    let ended = ended.await;
    (arrived, refused.map_or(ended, Err))
}

fn standing_still(plan: &Plan, locked: &mut Locked<'_>, w: &mut Worker) -> ServerResult {
    let parcels = pack(plan, &plan.keys, locked, w);
    let (arrived, result) = send_standing_still(plan, &parcels)?;
    let keys: Vec<&[u8]> = arrived.iter().map(|&i| &*parcels[i].key).collect();
    execute::delete_keys(w, plan.from_db, if plan.copy { &[] } else { &keys }, locked);
    match result {
        Ok(()) if parcels.is_empty() => no_key(&mut w.reply),
        Ok(()) => {
            w.reply.ok();
            Ok(Flow::Continue)
        }
        Err(error) => Err(ServerError::new(error)),
    }
}

/// Sends while all locks are in hand: this thread waits. The sockets are another thread's, as this one is
/// in the middle of its own.
fn send_standing_still(plan: &Plan, parcels: &[Parcel]) -> Result<Sent, ServerError> {
    if parcels.is_empty() {
        return Ok((Vec::new(), Ok(())));
    }
    let failed = |_| ServerError::new("ERR no thread could be started");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("migrate".into())
            .spawn_scoped(scope, || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                Ok(runtime.block_on(async {
                    match Target::open(&plan.address).await {
                        Ok(mut target) => send(&mut target, parcels, plan.replace).await,
                        Err(error) => (Vec::new(), Err(error)),
                    }
                }))
            });
        match thread.map_err(failed)?.join() {
            Ok(sent) => sent.map_err(failed),
            Err(_) => Err(ServerError::new("ERR sending the keys failed")),
        }
    })
}

/// Keys on their way while everybody else works on.
struct Journey {
    server: Arc<Server>,
    plan: Plan,
    parcels: Vec<Parcel>,
    /// For each parcel: set when the key changes here.
    changed: Vec<WatchFlag>,
}

impl Journey {
    /// Packs the keys and watches them.
    fn begin(server: Arc<Server>, plan: Plan, w: &mut Worker) -> Self {
        let mut journey = Self {
            server,
            parcels: Vec::new(),
            changed: Vec::new(),
            plan,
        };
        let keys = journey.plan.keys.clone();
        journey.pack(&keys, w);
        journey
    }

    fn pack(&mut self, keys: &[Box<[u8]>], w: &mut Worker) {
        let server = Arc::clone(&self.server);
        let mut locked = server.keyspace.lock(&self.plan.shards(&server.keyspace));
        self.parcels = pack(&self.plan, keys, &mut locked, w);
        self.changed = self
            .parcels
            .iter()
            .map(|_| Arc::new(AtomicBool::new(false)))
            .collect();
        for (parcel, flag) in self.parcels.iter().zip(&self.changed) {
            let shard = server.keyspace.shard_of(server.keyspace.hash(&parcel.key).slot);
            locked.shard(shard).watch(self.plan.from_db, &parcel.key, flag);
        }
        // Keys whose time was over have been removed on the way.
        execute::log_removals(w);
        drop(locked);
        execute::after_unlock(w);
    }

    async fn run(&mut self) -> Result<(), MigrateError> {
        let opened = Target::open(&self.plan.address).await;
        let mut target = match opened {
            Ok(target) => target,
            Err(error) => {
                self.arrived(&[]);
                return Err(error.into());
            }
        };
        let mut replace = self.plan.replace;
        for _ in 0..ROUNDS {
            let (arrived, result) = send(&mut target, &self.parcels, replace).await;
            let again = self.arrived(&arrived);
            result?;
            if again.is_empty() {
                return Ok(());
            }
            // What is there now is what this command brought.
            replace = true;
            Worker::with(|w, _| {
                w.begin_batch();
                self.pack(&again, w);
                w.end_batch();
            });
            let there: BTreeSet<&[u8]> = self.parcels.iter().map(|p| &*p.key).collect();
            let gone: Vec<Box<[u8]>> = again.into_iter().filter(|key| !there.contains(&**key)).collect();
            if !gone.is_empty() {
                target.delete(&gone).await?;
            }
        }
        self.arrived(&[]);
        Err(MigrateError::Restless)
    }

    /// Deletes the keys that have arrived as they are here, and tells which have changed since.
    fn arrived(&mut self, arrived: &[usize]) -> Vec<Box<[u8]>> {
        let server = Arc::clone(&self.server);
        let (mut done, mut again) = (Vec::<&[u8]>::new(), Vec::new());
        Worker::with(|w, _| {
            w.begin_batch();
            let mut locked = server.keyspace.lock(&self.plan.shards(&server.keyspace));
            for (parcel, flag) in self.parcels.iter().zip(&self.changed) {
                let shard = server.keyspace.shard_of(server.keyspace.hash(&parcel.key).slot);
                locked.shard(shard).unwatch(self.plan.from_db, &parcel.key, flag);
            }
            for &i in arrived.iter().filter(|_| !self.plan.copy) {
                if self.changed[i].load(Ordering::Acquire) {
                    again.push(self.parcels[i].key.clone());
                } else {
                    done.push(&self.parcels[i].key);
                }
            }
            execute::delete_keys(w, self.plan.from_db, &done, &mut locked);
            drop(locked);
            execute::after_unlock(w);
            w.end_batch();
        });
        again
    }
}

/// Why not all keys have gone.
#[derive(Debug, thiserror::Error)]
enum MigrateError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(
        "ERR keys keep changing while they are sent; they stay here, and older copies may be at the target"
    )]
    Restless,
}
