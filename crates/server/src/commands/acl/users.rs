//! ACL SETUSER, GETUSER, DELUSER, LIST, USERS: <https://redis.io/commands/acl-setuser>.

use std::sync::Arc;

use holdfast_acl::Selector;
use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::acl::{self, defaults};
use crate::commands::agreed;
use crate::registry::Run;
use crate::session::Flow;

pub(super) const ACL_SETUSER: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|setuser",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Makes a user, or changes what one may do.",
        complexity: "O(N), N: rules given",
        args: &[Arg::string("username"), Arg::string("rule").opt().multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(set_user),
};

pub(super) const ACL_GETUSER: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|getuser",
        arity: 3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Returns the rules of a user.",
        complexity: "O(N), N: rules of the user",
        args: &[Arg::string("username")],
        ..Spec::DEFAULT
    },
    run: Run::Server(get_user),
};

pub(super) const ACL_DELUSER: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|deluser",
        arity: -3,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Removes users and closes their connections.",
        complexity: "O(N), N: connections",
        args: &[Arg::string("username").multi()],
        ..Spec::DEFAULT
    },
    run: Run::Server(delete_users),
};

pub(super) const ACL_LIST: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|list",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Lists the users as lines of an ACL file.",
        complexity: "O(N), N: users",
        ..Spec::DEFAULT
    },
    run: Run::Server(list),
};

pub(super) const ACL_USERS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|users",
        arity: 2,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Lists the names of the users.",
        complexity: "O(N), N: users",
        ..Spec::DEFAULT
    },
    run: Run::Server(users),
};

fn set_user(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if agreed::applies(call)? {
        let rules = args.from(3).map(<[u8]>::to_vec).collect();
        return agreed::users::set(call, args.get(2), rules);
    }
    let server = Arc::clone(&call.session.server);
    let account = server
        .acl
        .users
        .set(args.get(2), args.from(3), &defaults(&server.config))
        .map_err(|error| ServerError(format!("ERR {error}")))?;
    let me = call.session.client.id;
    let ends_me = acl::end_listeners_of(&server, &account, me, call.locked.as_deref_mut());
    call.w.reply.ok();
    Ok(if ends_me { Flow::Close } else { Flow::Continue })
}

fn delete_users(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    if args.from(2).any(|name| name == b"default") {
        return Err(ServerError::new("ERR The 'default' user cannot be removed"));
    }
    if agreed::applies(call)? {
        let names = args.from(2).map(<[u8]>::to_vec).collect();
        return agreed::users::delete(call, names);
    }
    let (mut count, mut ends_me) = (0, false);
    let me = call.session.client.id;
    for name in args.from(2) {
        if let Some(account) = server.acl.users.remove(name, &defaults(&server.config)) {
            count += 1;
            ends_me |= acl::end_connections_of(&server, &account, me, call.locked.as_deref_mut());
        }
    }
    call.w.reply.int(count);
    Ok(if ends_me { Flow::Close } else { Flow::Continue })
}

fn get_user(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let found = call.session.server.acl.users.get(args.get(2));
    let reply = &mut call.w.reply;
    let Some(account) = found else {
        reply.null();
        return Ok(Flow::Continue);
    };
    let user = account.user();
    // The field is Valkey's: only who uses its rule gets to see it.
    let fields = |selector: &Selector| 3 + usize::from(selector.databases_text().is_some());
    reply.map(3 + fields(user.root()));
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    for flag in flags {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    for password in user.passwords() {
        reply.bulk(password.hex().as_bytes());
    }
    write_selector(call, user.root());
    call.w.reply.bulk(b"selectors");
    call.w.reply.array(user.more_selectors().len());
    for selector in user.more_selectors() {
        call.w.reply.map(fields(selector));
        write_selector(call, selector);
    }
    Ok(Flow::Continue)
}

/// Three pairs of a map, or four.
fn write_selector(call: &mut Call<'_, '_>, selector: &Selector) {
    let reply = &mut call.w.reply;
    reply.bulk(b"commands");
    reply.bulk(&selector.commands_text());
    reply.bulk(b"keys");
    reply.bulk(&selector.keys_text());
    reply.bulk(b"channels");
    reply.bulk(&selector.channels_text());
    if let Some(databases) = selector.databases_text() {
        reply.bulk(b"databases");
        reply.bulk(databases.as_bytes());
    }
}

fn list(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let accounts = call.session.server.acl.users.all();
    call.w.reply.array(accounts.len());
    for account in accounts {
        let line = [b"user ", account.name(), b" ", &account.user().text()].concat();
        call.w.reply.bulk(&line);
    }
    Ok(Flow::Continue)
}

fn users(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let accounts = call.session.server.acl.users.all();
    call.w.reply.array(accounts.len());
    for account in accounts {
        call.w.reply.bulk(account.name());
    }
    Ok(Flow::Continue)
}
