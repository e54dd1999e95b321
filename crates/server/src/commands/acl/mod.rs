//! ACL: <https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>. The rules themselves are in
//! [`holdfast_acl`], their meaning for connections in [`crate::acl`].

mod file;
mod inquire;
mod log;
mod users;

use holdfast_commands::flags;
use holdfast_commands::spec::{Group, Spec};

use super::{Call, ServerCommand, ServerError, ServerResult, help};
use crate::registry::Run;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &ACL,
    &ACL_HELP,
    &inquire::ACL_CAT,
    &inquire::ACL_DRYRUN,
    &inquire::ACL_GENPASS,
    &inquire::ACL_WHOAMI,
    &file::ACL_LOAD,
    &file::ACL_SAVE,
    &log::ACL_LOG,
    &users::ACL_DELUSER,
    &users::ACL_GETUSER,
    &users::ACL_LIST,
    &users::ACL_SETUSER,
    &users::ACL_USERS,
];

const ACL: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl",
        arity: -2,
        group: Group::Server,
        since: "6.0.0",
        summary: "Container of the commands about users and their permissions.",
        complexity: "Depends on the subcommand",
        ..Spec::DEFAULT
    },
    run: Run::Container,
};

const ACL_HELP: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "acl|help",
        arity: 2,
        flags: flags!(Flags: LOADING, STALE),
        group: Group::Server,
        since: "6.0.0",
        summary: "Lists the subcommands of ACL.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| help(call, "ACL", HELP)),
};

const HELP: &[(&str, &str)] = &[
    ("CAT [<category>]", "The categories, or the commands of one."),
    (
        "DELUSER <username> [<username> ...]",
        "Remove users and close their connections.",
    ),
    (
        "DRYRUN <username> <command> [<arg> ...]",
        "Tell whether the user may run the command, without running it.",
    ),
    ("GETUSER <username>", "What the user may do."),
    (
        "GENPASS [<bits>]",
        "A random password in hexadecimal digits; 256 bits unless told otherwise.",
    ),
    ("LIST", "The users with their rules."),
    (
        "LOAD",
        "Read the ACL file anew; nothing changes if a line is wrong.",
    ),
    (
        "LOG [<count>|RESET]",
        "What was denied lately, or forget about it.",
    ),
    ("SAVE", "Write the users to the ACL file."),
    (
        "SETUSER <username> <rule> [<rule> ...]",
        "Make a user or change one, by all rules or none.",
    ),
    ("USERS", "The names of the users."),
    ("WHOAMI", "The user of this connection."),
];
