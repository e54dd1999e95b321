//! ACL CAT, DRYRUN, GENPASS, WHOAMI: what changes nothing.

use holdfast_acl::{Catalog, Denied};
use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Acl, Arg, Group, Spec};
use holdfast_resp::OwnedFrame;
use rand::RngCore;

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::acl::catalog;
use crate::commands::wrong_subcommand;
use crate::registry::{Registry, Run};
use crate::session::Flow;

pub(super) const ACL_CAT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|cat",
        arity: -2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Lists the categories, or the commands of one.",
        complexity: "O(N), N: categories or commands",
        args: &[Arg::string("categoryname").opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(categories),
};

pub(super) const ACL_DRYRUN: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|dryrun",
        arity: -4,
        flags: flags!(Flags: ADMIN, NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "7.0.0",
        summary: "Tells whether a user may run a command, without running it.",
        complexity: "O(N), N: keys and patterns",
        args: &[
            Arg::string("username"),
            Arg::string("command"),
            Arg::string("arg").opt().multi(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(dry_run),
};

pub(super) const ACL_GENPASS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|genpass",
        arity: -2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Returns a random password.",
        complexity: "O(N), N: bits asked for",
        args: &[Arg::integer("bits").opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(generate_password),
};

pub(super) const ACL_WHOAMI: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|whoami",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Returns the name of this connection's user.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        call.w.reply.bulk(call.session.login.account().name());
        Ok(Flow::Continue)
    }),
};

/// Bits of a password.
const MOST_BITS: i64 = 4096;
const USUAL_BITS: i64 = 256;

fn categories(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let names: Vec<&str> = match args.len() {
        2 => Acl::ALL.iter().map(|&(_, name)| name).collect(),
        3 => {
            let unknown = || {
                let name = String::from_utf8_lossy(args.get(2));
                ServerError(format!("ERR Unknown category '{name}'"))
            };
            catalog().names_of(Catalog::category(args.get(2)).ok_or_else(unknown)?)
        }
        _ => return Err(wrong_subcommand(call.entry, args)),
    };
    call.w.reply.array(names.len());
    for name in names {
        call.w.reply.bulk(name.as_bytes());
    }
    Ok(Flow::Continue)
}

fn dry_run(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let shown = |at: usize| String::from_utf8_lossy(args.get(at)).into_owned();
    let account = call.session.server.acl.users.get(args.get(2));
    let account = account.ok_or_else(|| ServerError(format!("ERR User '{}' not found", shown(2))))?;
    let command = OwnedFrame::from_args(args.from(3));
    let unknown = || ServerError(format!("ERR Command '{}' not found", shown(3)));
    let frame = command.frame().ok_or_else(unknown)?;
    let entry = Registry::get().resolve(&frame).map_err(|_| unknown())?;
    if !entry.spec.arity_ok(frame.len()) {
        let name = entry.spec.name;
        return Err(ServerError(format!(
            "ERR wrong number of arguments for '{name}' command"
        )));
    }
    let db = call.session.db;
    let Err(denied) = account.user().check(entry.id, entry.spec, &frame, db) else {
        return call.ok();
    };
    let name = entry.spec.name.as_bytes();
    let text = match denied {
        Denied::Command => [b"This user has no permissions to run the '", name, b"' command"].concat(),
        Denied::Database(db) => {
            format!("This user has no permissions to access the '{db}' database").into_bytes()
        }
        Denied::Key(at) => [
            b"This user has no permissions to access the '",
            frame.arg(at),
            b"' key",
        ]
        .concat(),
        Denied::Channel(at) => [
            b"This user has no permissions to access the '",
            frame.arg(at),
            b"' channel",
        ]
        .concat(),
    };
    call.w.reply.bulk(&text);
    Ok(Flow::Continue)
}

fn generate_password(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let bits = match args.len() {
        2 => USUAL_BITS,
        3 => args.int(2)?,
        _ => return Err(wrong_subcommand(call.entry, args)),
    };
    if !(1..=MOST_BITS).contains(&bits) {
        return Err(ServerError(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {MOST_BITS}"
        )));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0u8; digits.div_ceil(2)];
    // Seeded by the system and cryptographically strong, unlike the worker's generator.
    rand::rng().fill_bytes(&mut bytes);
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    call.w.reply.bulk(text.as_bytes());
    Ok(Flow::Continue)
}
