//! CLIENT KILL: <https://redis.io/commands/client-kill>.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::parse_i64;

use super::client_list::class;
use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::blocking;
use crate::client::{Client, ClientClass};
use crate::registry::Run;
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&CLIENT_KILL];

const CLIENT_KILL: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|kill",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "2.4.0",
        summary: "Closes the connections that match.",
        complexity: "O(N), N: connections",
        args: &[Arg::one_of(
            "filter",
            &[
                Arg::string("ip:port"),
                Arg::one_of(
                    "new-format",
                    &[
                        Arg::integer("client-id").token("ID").opt().since("2.8.12"),
                        Arg::one_of(
                            "normal_master_slave_pubsub",
                            &[
                                Arg::word("normal", "NORMAL"),
                                Arg::word("master", "MASTER").since("3.2.0"),
                                Arg::word("slave", "SLAVE"),
                                Arg::word("replica", "REPLICA").since("5.0.0"),
                                Arg::word("pubsub", "PUBSUB"),
                            ],
                        )
                        .token("TYPE")
                        .opt()
                        .since("2.8.12"),
                        Arg::string("username").token("USER").opt(),
                        Arg::string("ip:port").token("ADDR").opt(),
                        Arg::string("ip:port").token("LADDR").opt().since("6.2.0"),
                        Arg::string("yes/no").token("SKIPME").opt(),
                        Arg::integer("maxage").token("MAXAGE").opt().since("7.4.0"),
                    ],
                )
                .multi(),
            ],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(kill),
};

/// Which connections; what is not given matches every one.
#[derive(Debug)]
struct Filter<'a> {
    id: Option<u64>,
    class: Option<ClientClass>,
    user: Option<&'a [u8]>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    /// Seconds.
    min_age: Option<i64>,
    skip_me: bool,
}

fn kill(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() == 3 {
        let filter = Filter {
            addr: Some(args.get(2)),
            skip_me: false,
            ..Filter::default()
        };
        return match kill_all(call, &filter) {
            (0, _) => Err(ServerError::new("ERR No such client")),
            (_, flow) => {
                call.w.reply.ok();
                Ok(flow)
            }
        };
    }
    let filter = parse(args)?;
    let (killed, flow) = kill_all(call, &filter);
    call.w.reply.int(killed);
    Ok(flow)
}

fn parse(args: Args<'_>) -> Result<Filter<'_>, ServerError> {
    let mut filter = Filter::default();
    let mut rest = args.cursor(2);
    while rest.left() > 0 {
        if rest.left() < 2 {
            return Err(CmdError::Syntax.into());
        }
        if rest.accept("ID") {
            let id = parse_i64(rest.word()?).filter(|&id| id > 0);
            let id = id.ok_or_else(|| ServerError::new("ERR client-id should be greater than 0"))?;
            filter.id = Some(id as u64);
        } else if rest.accept("TYPE") {
            filter.class = Some(class(rest.word()?)?);
        } else if rest.accept("USER") {
            let user = rest.word()?;
            if user != b"default" {
                let user = String::from_utf8_lossy(user);
                return Err(ServerError(format!("ERR No such user '{user}'")));
            }
            filter.user = Some(user);
        } else if rest.accept("ADDR") {
            filter.addr = Some(rest.word()?);
        } else if rest.accept("LADDR") {
            filter.laddr = Some(rest.word()?);
        } else if rest.accept("MAXAGE") {
            let age = parse_i64(rest.word()?).filter(|&age| age > 0);
            let age = age.ok_or_else(|| ServerError::new("ERR maxage should be greater than 0"))?;
            filter.min_age = Some(age);
        } else if rest.accept("SKIPME") {
            filter.skip_me = if rest.accept("YES") {
                true
            } else if rest.accept("NO") {
                false
            } else {
                return Err(CmdError::Syntax.into());
            };
        } else {
            return Err(CmdError::Syntax.into());
        }
    }
    Ok(filter)
}

impl Default for Filter<'_> {
    fn default() -> Self {
        Self {
            id: None,
            class: None,
            user: None,
            addr: None,
            laddr: None,
            min_age: None,
            skip_me: true,
        }
    }
}

impl Filter<'_> {
    fn matches(&self, client: &Client, now_ms: i64) -> bool {
        self.id.is_none_or(|id| client.id == id)
            && self.class.is_none_or(|class| client.class() == class)
            && self
                .user
                .is_none_or(|user| client.names.lock().user.as_bytes() == user)
            && self.addr.is_none_or(|addr| client.addr.as_bytes() == addr)
            && self.laddr.is_none_or(|laddr| client.laddr.as_bytes() == laddr)
            && self
                .min_age
                .is_none_or(|age| (now_ms - client.created_ms) / 1000 >= age)
    }
}

/// Ends the connections that match; how many they are, and whether the caller is among them.
fn kill_all(call: &mut Call<'_, '_>, filter: &Filter<'_>) -> (i64, Flow) {
    let server = Arc::clone(&call.session.server);
    let me = call.session.client.id;
    let (mut killed, mut flow) = (0, Flow::Continue);
    for client in server.clients.open() {
        if !filter.matches(&client, call.w.now_ms) || (client.id == me && filter.skip_me) {
            continue;
        }
        killed += 1;
        if client.id == me {
            // Its reply still leaves.
            flow = Flow::Close;
            continue;
        }
        client.kill();
        // From now on nothing may be given to it, though its own thread may not have noticed yet.
        if let Some(waiter) = client.waiter() {
            blocking::unblock(&server, call.locked.as_deref_mut(), &waiter, b"");
        }
    }
    (killed, flow)
}
