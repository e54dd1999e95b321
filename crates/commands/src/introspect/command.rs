//! COMMAND and its subcommands over a list of commands: everything but the lookup that dispatch does.
//!
//! Must not know: which commands exist, sessions.

use holdfast_resp::Reply;
use holdfast_storage::glob;

use super::{Listed, write_docs, write_info, write_keys};
use crate::key_positions::Argv;
use crate::spec::{Acl, Spec};

/// All commands of the server, to be asked about.
#[derive(Debug)]
pub struct Catalogue<'a>(Vec<Listed<'a>>);

impl<'a> Catalogue<'a> {
    /// Of these commands and subcommands, in any order.
    pub fn new(specs: impl IntoIterator<Item = &'a Spec>) -> Self {
        Self(super::tree(specs))
    }

    /// The commands, ordered by name.
    pub fn commands(&self) -> &[Listed<'a>] {
        &self.0
    }

    /// The command `name` or the subcommand `container|name`, in any case.
    pub fn find(&self, name: &[u8]) -> Option<Listed<'a>> {
        let name = name.to_ascii_lowercase();
        let container = name.split(|&byte| byte == b'|').next()?;
        let at = self
            .0
            .binary_search_by(|listed| listed.spec.name.as_bytes().cmp(container))
            .ok()?;
        let listed = &self.0[at];
        if container.len() == name.len() {
            return Some(listed.clone());
        }
        let sub = listed
            .subcommands
            .iter()
            .find(|sub| sub.name.as_bytes() == name)?;
        Some(Listed {
            spec: sub,
            subcommands: Vec::new(),
        })
    }

    /// The command that the arguments call, of a container its subcommand. A container called without one is found
    /// itself.
    fn called(&self, argv: &Tail<'_, impl Argv + ?Sized>) -> Option<&'a Spec> {
        let listed = self
            .find(argv.arg(0))
            .filter(|listed| !listed.spec.name.contains('|'))?;
        if listed.subcommands.is_empty() || argv.argc() < 2 {
            return Some(listed.spec);
        }
        let word = argv.arg(1).to_ascii_lowercase();
        let is_called = |sub: &&&Spec| {
            sub.name
                .split_once('|')
                .is_some_and(|(_, name)| name.as_bytes() == word)
        };
        listed.subcommands.iter().find(is_called).copied()
    }

    /// COMMAND: every command as in [`info`](Self::info).
    pub fn all(&self, reply: &mut Reply) {
        reply.array(self.0.len());
        for listed in &self.0 {
            write_info(reply, listed.spec, &listed.subcommands);
        }
    }

    /// COMMAND COUNT: the number of commands without subcommands.
    pub fn count(&self, reply: &mut Reply) {
        reply.int(self.0.len() as i64);
    }

    /// COMMAND INFO [name...]: one entry per name, null for what does not exist; every command if no name is given.
    pub fn info<V: Argv + ?Sized>(&self, reply: &mut Reply, argv: &V) {
        if argv.argc() == 2 {
            return self.all(reply);
        }
        reply.array(argv.argc() - 2);
        for i in 2..argv.argc() {
            match self.find(argv.arg(i)) {
                Some(listed) => write_info(reply, listed.spec, &listed.subcommands),
                None => reply.null(),
            }
        }
    }

    /// COMMAND DOCS [name...]: a map with those names that exist; every command if no name is given.
    pub fn docs<V: Argv + ?Sized>(&self, reply: &mut Reply, argv: &V) {
        if argv.argc() == 2 {
            reply.map(self.0.len());
            for listed in &self.0 {
                write_docs(reply, listed.spec, &listed.subcommands);
            }
            return;
        }
        let map = reply.defer();
        let mut pairs = 0;
        for listed in (2..argv.argc()).filter_map(|i| self.find(argv.arg(i))) {
            write_docs(reply, listed.spec, &listed.subcommands);
            pairs += 1;
        }
        reply.finish_map(map, pairs);
    }

    /// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]: names of commands and subcommands.
    /// There are no modules, so that filter finds nothing.
    pub fn list<V: Argv + ?Sized>(&self, reply: &mut Reply, argv: &V) {
        match argv.argc() {
            2 => self.write_list(reply, |_| true),
            5 if argv.arg(2).eq_ignore_ascii_case(b"filterby") => {
                let (filter, value) = (argv.arg(3), argv.arg(4));
                if filter.eq_ignore_ascii_case(b"module") {
                    self.write_list(reply, |_| false);
                } else if filter.eq_ignore_ascii_case(b"aclcat") {
                    let category = category(value);
                    self.write_list(reply, |spec| {
                        category.is_some_and(|category| spec.acl_categories().has(category))
                    });
                } else if filter.eq_ignore_ascii_case(b"pattern") {
                    self.write_list(reply, |spec| glob::matches(value, spec.name.as_bytes(), true));
                } else {
                    reply.error("ERR syntax error");
                }
            }
            _ => reply.error("ERR syntax error"),
        }
    }

    fn write_list(&self, reply: &mut Reply, keep: impl Fn(&Spec) -> bool) {
        let list = reply.defer();
        let mut len = 0;
        let specs = self
            .0
            .iter()
            .flat_map(|listed| std::iter::once(listed.spec).chain(listed.subcommands.iter().copied()));
        for spec in specs.filter(|spec| keep(spec)) {
            reply.bulk(spec.name.as_bytes());
            len += 1;
        }
        reply.finish_array(list, len);
    }

    /// COMMAND GETKEYS and, with `with_flags`, COMMAND GETKEYSANDFLAGS of the full command behind both words.
    pub fn keys<V: Argv + ?Sized>(&self, reply: &mut Reply, argv: &V, with_flags: bool) {
        let argv = Tail { argv, from: 2 };
        match self.called(&argv) {
            Some(spec) => write_keys(reply, spec, &argv, with_flags),
            None => reply.error("ERR Invalid command specified"),
        }
    }
}

/// The ACL category of this name, in any case, without the `@`.
pub fn category(name: &[u8]) -> Option<Acl> {
    let named = |&&(_, text): &&(Acl, &str)| name.eq_ignore_ascii_case(text.as_bytes());
    Acl::ALL.iter().find(named).map(|&(category, _)| category)
}

/// Arguments without the first ones.
struct Tail<'a, V: ?Sized> {
    argv: &'a V,
    from: usize,
}

impl<V: Argv + ?Sized> Argv for Tail<'_, V> {
    fn argc(&self) -> usize {
        self.argv.argc() - self.from
    }
    fn arg(&self, index: usize) -> &[u8] {
        self.argv.arg(index + self.from)
    }
}

/// COMMAND HELP, one line each.
pub const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Describe all commands.",
    "COUNT",
    "    Return the number of commands.",
    "LIST [FILTERBY (MODULE <name> | ACLCAT <category> | PATTERN <pattern>)]",
    "    Return the names of commands and subcommands.",
    "INFO [<command-name> ...]",
    "    Describe the given commands, or all.",
    "DOCS [<command-name> ...]",
    "    Document the given commands, or all.",
    "GETKEYS <full-command>",
    "    Return the keys of a command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys of a command and what it does with each.",
    "HELP",
    "    Print this help.",
];

#[cfg(test)]
mod tests {
    use holdfast_resp::Proto;

    use super::*;
    use crate::flags;
    use crate::spec::{Group, KeySpec};

    const GET: Spec = Spec {
        name: "get",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO))],
        group: Group::String,
        ..Spec::DEFAULT
    };
    const OBJECT: Spec = Spec {
        name: "object",
        arity: -2,
        ..Spec::DEFAULT
    };
    const FREQ: Spec = Spec {
        name: "object|freq",
        arity: 3,
        keys: &[KeySpec::one(2, flags!(KeyFlags: RO))],
        ..Spec::DEFAULT
    };
    const PING: Spec = Spec {
        name: "ping",
        arity: -1,
        ..Spec::DEFAULT
    };

    fn answer(line: &str) -> String {
        let catalogue = Catalogue::new([&PING, &FREQ, &OBJECT, &GET]);
        let argv: Vec<&str> = line.split(' ').collect();
        let argv = &argv[..];
        let mut reply = Reply::new(Vec::new(), Proto::Resp2);
        match argv.get(1).copied() {
            None => catalogue.all(&mut reply),
            Some("count") => catalogue.count(&mut reply),
            Some("info") => catalogue.info(&mut reply, argv),
            Some("docs") => catalogue.docs(&mut reply, argv),
            Some("list") => catalogue.list(&mut reply, argv),
            Some("getkeys") => catalogue.keys(&mut reply, argv, false),
            Some(other) => panic!("{other}"),
        }
        String::from_utf8_lossy(reply.as_bytes()).replace("\r\n", " ")
    }

    #[test]
    fn lookups_take_any_case_and_subcommands() {
        assert_eq!(answer("command count"), ":3 ");
        assert_eq!(
            answer("command info nosuch object|nosuch get|x object|"),
            "*4 $-1 $-1 $-1 $-1 "
        );
        assert!(answer("command info GET").starts_with("*1 *10 $3 get "));
        assert!(answer("command info Object|FREQ").starts_with("*1 *10 $11 object|freq "));
        assert_eq!(answer("command docs nosuch"), "*0 ");
        assert!(answer("command docs nosuch get").starts_with("*2 $3 get "));
        assert!(answer("command docs").starts_with("*6 $3 get "));
        assert!(answer("command").starts_with("*3 *10 $3 get "));
        assert_eq!(answer("command info"), answer("command"));
    }

    #[test]
    fn list_filters() {
        let all = "*4 $3 get $6 object $11 object|freq $4 ping ";
        assert_eq!(answer("command list"), all);
        assert_eq!(answer("command list filterby aclcat STRING"), "*1 $3 get ");
        assert_eq!(answer("command list FILTERBY aclcat nosuch"), "*0 ");
        assert_eq!(
            answer("command list filterby pattern OBJ*"),
            "*2 $6 object $11 object|freq "
        );
        assert_eq!(answer("command list filterby module x"), "*0 ");
        assert_eq!(answer("command list filterby nosuch x"), "-ERR syntax error ");
        assert_eq!(answer("command list filterby"), "-ERR syntax error ");
    }

    #[test]
    fn keys_of_full_commands() {
        assert_eq!(answer("command getkeys get a"), "*1 $1 a ");
        assert_eq!(answer("command getkeys OBJECT Freq a"), "*1 $1 a ");
        for unknown in ["nosuch a", "object|freq a", "object nosuch a"] {
            let answer = answer(&format!("command getkeys {unknown}"));
            assert_eq!(answer, "-ERR Invalid command specified ", "{unknown}");
        }
        assert_eq!(
            answer("command getkeys object freq"),
            "-ERR Invalid number of arguments specified for command "
        );
        assert_eq!(
            answer("command getkeys ping x"),
            "-ERR The command has no key arguments "
        );
    }
}
