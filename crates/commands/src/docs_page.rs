//! The page docs/commands.md, written from declarations.
//!
//! Must not know: which commands exist (the caller passes them), where the page is kept. The test that compares the
//! checked-in page with this one stands where the list of all commands does.

use std::fmt::Write as _;

use crate::introspect::Listed;
use crate::spec::{Group, Spec};

/// All of docs/commands.md for `commands`: one table per group, commands by name, subcommands under their container.
pub fn commands_page(commands: &[Listed<'_>]) -> String {
    let mut groups: Vec<Group> = commands.iter().map(|listed| listed.spec.group).collect();
    groups.sort();
    groups.dedup();
    let total: usize = commands.iter().map(|listed| 1 + listed.subcommands.len()).sum();
    let mut page = format!(
        "# Commands\n\n\
         Written from the declarations in the source; do not edit. {} commands, {total} with subcommands.\n\n\
         Arity counts the name; a negative number means at least so many. *Since* is the Redis version that\n\
         introduced the command.\n",
        commands.len(),
    );
    for group in groups {
        let _ = write!(page, "\n## {}\n\n", group.name());
        page.push_str("| command | arity | flags | since | |\n|---|---|---|---|---|\n");
        for listed in commands.iter().filter(|listed| listed.spec.group == group) {
            write_row(&mut page, listed.spec);
            for sub in &listed.subcommands {
                write_row(&mut page, sub);
            }
        }
    }
    page
}

fn write_row(page: &mut String, spec: &Spec) {
    let name = spec.name.replace('|', " ").to_uppercase();
    let flags: Vec<&str> = spec.flags.names().collect();
    let _ = write!(
        page,
        "| {name} | {} | {} | {} | ",
        spec.arity,
        flags.join(" "),
        spec.since
    );
    page.push_str(&spec.summary.replace('|', "\\|"));
    if let Some(deprecated) = &spec.deprecated {
        let _ = write!(
            page,
            " Deprecated since {}: {}.",
            deprecated.since, deprecated.replaced_by
        );
    }
    page.push_str(" |\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;
    use crate::introspect::tree;
    use crate::spec::Deprecated;

    #[test]
    fn groups_and_subcommands_stand_together() {
        let get = Spec {
            name: "get",
            arity: 2,
            flags: flags!(Flags: READONLY, FAST),
            group: Group::String,
            summary: "Returns a string.",
            ..Spec::DEFAULT
        };
        let container = Spec {
            name: "client",
            arity: -2,
            group: Group::Connection,
            summary: "Container.",
            ..Spec::DEFAULT
        };
        let sub = Spec {
            name: "client|id",
            arity: 2,
            group: Group::Connection,
            since: "5.0.0",
            summary: "Returns the id.",
            deprecated: Some(Deprecated {
                since: "9.0.0",
                replaced_by: "nothing",
            }),
            ..Spec::DEFAULT
        };
        let page = commands_page(&tree([&get, &sub, &container]));
        let tables: Vec<&str> = page.lines().filter(|line| line.starts_with(['#', '|'])).collect();
        assert_eq!(
            tables,
            [
                "# Commands",
                "## connection",
                "| command | arity | flags | since | |",
                "|---|---|---|---|---|",
                "| CLIENT | -2 |  | 1.0.0 | Container. |",
                "| CLIENT ID | 2 |  | 5.0.0 | Returns the id. Deprecated since 9.0.0: nothing. |",
                "## string",
                "| command | arity | flags | since | |",
                "|---|---|---|---|---|",
                "| GET | 2 | readonly fast | 1.0.0 | Returns a string. |",
            ]
        );
        assert!(page.contains("2 commands, 3 with subcommands"));
    }
}
