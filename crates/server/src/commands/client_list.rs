//! CLIENT LIST and CLIENT INFO: <https://redis.io/commands/client-list>. One line for each connection, in the fields of
//! Redis 7.2 and `capa` of Valkey.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::client_filter::{Filter, Style};
use super::{Call, ServerCommand, ServerResult};
use crate::client::{Client, flag};
use crate::registry::{Registry, Run};
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&CLIENT_INFO, &CLIENT_LIST];

const CLIENT_INFO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|info",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "6.2.0",
        summary: "Returns what CLIENT LIST shows, for this connection only.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: Run::Server(info),
};

const CLIENT_LIST: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|list",
        arity: -2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "2.4.0",
        summary: "Lists the open connections.",
        complexity: "O(N), N: connections",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::one_of(
                "normal_master_replica_pubsub",
                &[
                    Arg::word("normal", "NORMAL"),
                    Arg::word("master", "MASTER"),
                    Arg::word("replica", "REPLICA"),
                    Arg::word("pubsub", "PUBSUB"),
                ],
            )
            .token("TYPE")
            .opt()
            .since("5.0.0"),
            Arg::block("id", &[Arg::integer("client-id").multi()])
                .token("ID")
                .opt()
                .since("6.2.0"),
            Arg::string("username").token("USER").opt().since("8.1.0"),
            Arg::string("ip:port").token("ADDR").opt().since("8.1.0"),
            Arg::string("local-ip:port").token("LADDR").opt().since("8.1.0"),
            Arg::string("yes/no").token("SKIPME").opt().since("8.1.0"),
            Arg::integer("maxage").token("MAXAGE").opt().since("8.1.0"),
            Arg::string("name").token("NAME").opt().since("9.0.0"),
            Arg::integer("idle").token("IDLE").opt().since("9.0.0"),
            Arg::string("flags").token("FLAGS").opt().since("9.0.0"),
            Arg::string("lib-name").token("LIB-NAME").opt().since("9.0.0"),
            Arg::string("lib-ver").token("LIB-VER").opt().since("9.0.0"),
            Arg::integer("db").token("DB").opt().since("9.0.0"),
            Arg::string("capa").token("CAPA").opt().since("9.0.0"),
            Arg::string("ip").token("IP").opt().since("9.0.0"),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(list),
};

fn info(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let mut text = String::new();
    row(&mut text, &call.session.client, call.w.now_ms);
    call.w.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Continue)
}

fn list(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    let filter = Filter::parse(&server, args, Style::List)?;
    let (me, now_ms) = (call.session.client.id, call.w.now_ms);
    let clients: Vec<Arc<Client>> = match &filter.ids {
        None => server.clients.open().collect(),
        // In the order asked for, each as often as asked for.
        Some(ids) => ids
            .iter()
            .filter_map(|&id| server.clients.get(u64::try_from(id).ok()?))
            .filter(|c| !c.is_killed())
            .collect(),
    };
    let mut text = String::new();
    for client in clients.iter().filter(|c| filter.matches(c, me, now_ms)) {
        row(&mut text, client, now_ms);
    }
    call.w.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Continue)
}

/// A client's line, without its end.
pub(crate) fn line(client: &Client, now_ms: i64) -> String {
    let mut text = String::new();
    row(&mut text, client, now_ms);
    text.truncate(text.trim_end().len());
    text
}

/// Appends a client's line. Connections share their worker's buffers, so those of an idle one are 0.
fn row(text: &mut String, client: &Client, now_ms: i64) {
    let seconds = |since_ms: i64| (now_ms - since_ms).max(0) / 1000;
    let output = client.output.load(Relaxed) + client.mail_len();
    let query_buffer = client.query_buffer.load(Relaxed);
    let multi_mem = client.multi_mem.load(Relaxed);
    let names = client.names.lock().clone();
    let total = client.memory();
    let written = writeln!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} watch={} \
         qbuf={query_buffer} qbuf-free=0 argv-mem=0 multi-mem={multi_mem} rbs=0 rbp=0 obl=0 oll={} omem={output} \
         tot-mem={total} events={} cmd={} user={} redir={} resp={} lib-name={} lib-ver={} capa={}",
        client.id,
        client.addr,
        client.laddr,
        client.fd,
        names.name,
        seconds(client.created_ms),
        seconds(client.last_active_ms.load(Relaxed)),
        flags_text(client),
        client.db.load(Relaxed),
        client.channels.load(Relaxed),
        client.patterns.load(Relaxed),
        client.shard_channels.load(Relaxed),
        client.multi.load(Relaxed),
        client.watched.load(Relaxed),
        usize::from(output > 0),
        if output > 0 { "rw" } else { "r" },
        command(client),
        names.user,
        client.redirect_shown(),
        client.resp.load(Relaxed),
        names.lib_name,
        names.lib_ver,
        client.capabilities_text(),
    );
    debug_assert!(written.is_ok(), "writing to a String does not fail");
}

/// The letters of a client's flags, `N` if there are none.
pub(super) fn flags_text(client: &Client) -> String {
    let mut bits = client.flags.load(Relaxed);
    if client.is_dirty() {
        bits |= flag::DIRTY_CAS;
    }
    let letters: String = flag::LETTERS
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, letter)| letter)
        .collect();
    if letters.is_empty() { "N".into() } else { letters }
}

fn command(client: &Client) -> &'static str {
    Registry::get()
        .by_id(client.last_command.load(Relaxed))
        .map_or("NULL", |entry| entry.spec.name)
}
