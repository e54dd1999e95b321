//! XGROUP and its subcommands: <https://redis.io/commands/xgroup>.

use holdfast_storage::data::Edit;
use holdfast_storage::types::stream::{Group as ConsumerGroup, Stream, StreamId};

use super::{events, id};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XGROUP`
pub(crate) const XGROUP: Command = Command {
    spec: &Spec {
        name: "xgroup",
        arity: -2,
        group: Group::Stream,
        since: "5.0.0",
        summary: "Container of the commands about a stream's consumer groups.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: xgroup,
};

/// `XGROUP CREATE key group <id | $> [MKSTREAM] [ENTRIESREAD n]`
pub(crate) const XGROUP_CREATE: Command = Command {
    spec: &Spec {
        name: "xgroup|create",
        arity: -5,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RW, INSERT))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Creates a consumer group.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::string("groupname"),
            Arg::one_of("id", &[Arg::string("id"), Arg::word("new_id", "$")]),
            Arg::word("mkstream", "MKSTREAM").opt(),
            Arg::integer("entries_read").token("ENTRIESREAD").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: create,
};

/// `XGROUP CREATECONSUMER key group consumer`
pub(crate) const XGROUP_CREATECONSUMER: Command = Command {
    spec: &Spec {
        name: "xgroup|createconsumer",
        arity: 5,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RW, INSERT))],
        group: Group::Stream,
        since: "6.2.0",
        summary: "Creates a consumer in a group.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::string("groupname"),
            Arg::string("consumername"),
        ],
        ..Spec::DEFAULT
    },
    run: create_consumer,
};

/// `XGROUP DELCONSUMER key group consumer`
pub(crate) const XGROUP_DELCONSUMER: Command = Command {
    spec: &Spec {
        name: "xgroup|delconsumer",
        arity: 5,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RW, DELETE))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Deletes a consumer with what it has pending, and returns how much that was.",
        complexity: "O(N), N: entries pending for the consumer",
        args: &[
            Arg::key("key", 0),
            Arg::string("groupname"),
            Arg::string("consumername"),
        ],
        ..Spec::DEFAULT
    },
    run: delete_consumer,
};

/// `XGROUP DESTROY key group`
pub(crate) const XGROUP_DESTROY: Command = Command {
    spec: &Spec {
        name: "xgroup|destroy",
        arity: 4,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RW, DELETE))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Deletes a consumer group.",
        complexity: "O(N), N: entries pending in the group",
        args: &[Arg::key("key", 0), Arg::string("groupname")],
        ..Spec::DEFAULT
    },
    run: destroy,
};

/// `XGROUP HELP`
pub(crate) const XGROUP_HELP: Command = Command {
    spec: &Spec {
        name: "xgroup|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        acl: flags!(Acl: STREAM),
        group: Group::Stream,
        since: "5.0.0",
        summary: "Lists the subcommands of XGROUP.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: help,
};

/// `XGROUP SETID key group <id | $> [ENTRIESREAD n]`
pub(crate) const XGROUP_SETID: Command = Command {
    spec: &Spec {
        name: "xgroup|setid",
        arity: -5,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Sets the last id that a group was given.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::string("groupname"),
            Arg::one_of("id", &[Arg::string("id"), Arg::word("new_id", "$")]),
            Arg::integer("entries_read").token("ENTRIESREAD").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: set_id,
};

/// Reached only with a word that is no subcommand, or with none.
fn xgroup(_: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    Err(unknown_subcommand(args, "xgroup", "XGROUP"))
}

/// What a container answers to a word that it does not know, or to none.
pub(super) fn unknown_subcommand(args: Args<'_>, name: &'static str, upper: &str) -> CmdError {
    match args.opt(1) {
        None => CmdError::Arity(name),
        Some(word) => {
            let word = String::from_utf8_lossy(&word[..word.len().min(128)]);
            CmdError::msg(format!("ERR unknown subcommand '{word}'. Try {upper} HELP."))
        }
    }
}

/// Options that do not fit a subcommand.
pub(super) fn misfit(args: Args<'_>, container: &str) -> CmdError {
    let word = args.get(1);
    let word = String::from_utf8_lossy(&word[..word.len().min(128)]);
    CmdError::msg(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {container} HELP."
    ))
}

/// What is behind the id.
#[derive(Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, may_make: bool) -> Result<Self, CmdError> {
        let mut options = Self::default();
        let mut rest = args.cursor(5);
        while rest.left() > 0 {
            if may_make && rest.accept("MKSTREAM") {
                options.make_stream = true;
            } else if rest.left() > 1 && rest.accept("ENTRIESREAD") {
                options.entries_read = match rest.int()? {
                    -1 => None,
                    count => Some(
                        u64::try_from(count)
                            .map_err(|_| CmdError::msg("ERR value for ENTRIESREAD must be positive or -1"))?,
                    ),
                };
            } else {
                return Err(misfit(args, "XGROUP"));
            }
        }
        Ok(options)
    }
}

/// The id that a group is to stand at; `$`: the stream's last.
fn position(argument: &[u8], last: StreamId) -> Result<StreamId, CmdError> {
    if argument == b"$" {
        Ok(last)
    } else {
        id::strict(argument, 0)
    }
}

fn key_required() -> CmdError {
    CmdError::msg(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
         option to create an empty stream automatically.",
    )
}

/// The stream of a subcommand that needs one, and the group of that name if `group` says that it must be there.
fn stream_of<'d>(
    ctx: &'d mut Ctx<'_, '_>,
    args: Args<'d>,
    must_have_group: bool,
) -> Result<Edit<'d, Stream>, CmdError> {
    let (key, name) = (args.get(2), args.get(3));
    let stream = ctx.data.edit::<Stream>(key)?.ok_or_else(key_required)?;
    if must_have_group && stream.group(name).is_none() {
        stream.unchanged();
        return Err(events::no_group(key, name));
    }
    Ok(stream)
}

fn create(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let options = Options::parse(args, true)?;
    let (key, name) = (args.get(2), args.get(3));
    let last = match ctx.data.edit::<Stream>(key)? {
        None if !options.make_stream => return Err(key_required()),
        None => StreamId::ZERO,
        Some(stream) => {
            let last = stream.last_id();
            stream.unchanged();
            last
        }
    };
    let at = position(args.get(4), last)?;
    let mut stream = ctx.data.edit_or_create::<Stream>(key)?;
    if !stream.create_group(name, ConsumerGroup::new(at, options.entries_read)) {
        stream.unchanged();
        return Err(CmdError::msg("BUSYGROUP Consumer Group name already exists"));
    }
    if stream.is_new() {
        // The key is told of before its group.
        stream.finish(events::GROUP_CREATE, 1);
    } else {
        stream.note(events::GROUP_CREATE);
        stream.finish_quietly(1);
    }
    ctx.done_ok()
}

fn set_id(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let options = Options::parse(args, false)?;
    let mut stream = stream_of(ctx, args, true)?;
    let at = match position(args.get(4), stream.last_id()) {
        Ok(at) => at,
        Err(error) => {
            stream.unchanged();
            return Err(error);
        }
    };
    if let Some(group) = stream.group_mut(args.get(3)) {
        group.last_id = at;
        group.entries_read = options.entries_read;
    }
    stream.note(events::GROUP_SETID);
    stream.finish_quietly(1);
    ctx.done_ok()
}

fn destroy(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut stream = stream_of(ctx, args, false)?;
    if !stream.remove_group(args.get(3)) {
        stream.unchanged();
        return ctx.done_int(0);
    }
    // Who waits as a member of the group is to learn that it is gone.
    stream.wake();
    stream.note(events::GROUP_DESTROY);
    stream.finish_quietly(1);
    ctx.done_int(1)
}

fn create_consumer(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.data.now_ms;
    let mut stream = stream_of(ctx, args, true)?;
    let created = stream
        .group_mut(args.get(3))
        .and_then(|group| group.create_consumer(args.get(4), now_ms));
    if created.is_none() {
        stream.unchanged();
        return ctx.done_int(0);
    }
    stream.note(events::CREATE_CONSUMER);
    stream.finish_quietly(1);
    ctx.done_int(1)
}

fn delete_consumer(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut stream = stream_of(ctx, args, true)?;
    let pending = stream
        .group_mut(args.get(3))
        .and_then(|group| group.remove_consumer(args.get(4)));
    let Some(pending) = pending else {
        stream.unchanged();
        return ctx.done_int(0);
    };
    stream.note(events::DEL_CONSUMER);
    stream.finish_quietly(1);
    ctx.done_int(pending as i64)
}

const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Makes a new group that reads from behind the id. Options:",
    "    * MKSTREAM",
    "      Makes the stream too, if there is none.",
    "    * ENTRIESREAD entries_read",
    "      How many entries the group has read already.",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Makes a new consumer in the group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Deletes a consumer and what it has pending.",
    "DESTROY <key> <groupname>",
    "    Deletes the group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Sets the id behind which the group reads on.",
    "HELP",
    "    Prints this help.",
];

fn help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> CmdResult {
    ctx.reply.array(HELP.len());
    HELP.iter().for_each(|line| ctx.reply.simple(line));
    Ok(Outcome::Done)
}
