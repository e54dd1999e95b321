//! What it means for two replies to be the same, command by command.
//!
//! Most replies must be equal byte by byte. The others have a rule of their own.

use super::explained::Reason;
use crate::reply::Reply;

/// How far times may lie apart: subject and oracle see a command at different moments.
const SECONDS_APART: i64 = 10;

/// How replies to a command are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Equal in every byte.
    Exact,
    /// Equal as a collection of elements.
    AnyOrder,
    /// Equal as a collection of pairs.
    PairsInAnyOrder,
    /// Equal, or positive integers at most this far apart.
    Near(i64),
    /// Both of the same type.
    SameType,
    /// SORT: exact, or a difference that ties explain.
    Sort,
    /// OBJECT ENCODING.
    Encoding,
    /// Users: the rules about commands may be said otherwise.
    Users,
    /// Equal but for what depends on the time, and for consumers.
    Stream,
    /// One page of a scan: which elements are on it is the server's affair.
    Page,
}

/// The outcome of a comparison that found no unexplained difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Same {
    /// Nothing to explain.
    Yes,
    /// Different, for a known reason.
    Explained(Reason),
}

/// Compares the replies to `args`; `None` means that they differ.
pub fn compare(args: &[Vec<u8>], subject: &Reply, oracle: &Reply) -> Option<Same> {
    if subject == oracle {
        return Some(Same::Yes);
    }
    let same = match rule(args) {
        Rule::Exact => None,
        Rule::AnyOrder => (sorted(subject, 1)? == sorted(oracle, 1)?).then_some(Same::Yes),
        Rule::PairsInAnyOrder => (sorted(subject, 2)? == sorted(oracle, 2)?).then_some(Same::Yes),
        Rule::Near(distance) => near(subject, oracle, distance).then_some(Same::Yes),
        Rule::SameType => same_type(subject, oracle).then_some(Same::Yes),
        Rule::Sort => sort(args, subject, oracle),
        Rule::Encoding => encoding(subject, oracle),
        Rule::Stream => (timeless(subject) == timeless(oracle)).then_some(Same::Yes),
        Rule::Page => page(subject, oracle).then_some(Same::Yes),
        Rule::Users => same_users(subject, oracle).then_some(Same::Explained(Reason::AclRules)),
    };
    same.or_else(|| Reason::for_replies(args, subject, oracle).map(Same::Explained))
}

fn rule(args: &[Vec<u8>]) -> Rule {
    let word = |index: usize| {
        args.get(index)
            .map(|arg| arg.to_ascii_uppercase())
            .unwrap_or_default()
    };
    match (word(0).as_slice(), word(1).as_slice()) {
        (b"SMEMBERS" | b"SUNION" | b"SINTER" | b"SDIFF" | b"KEYS" | b"HKEYS" | b"HVALS", _) => Rule::AnyOrder,
        (b"HGETALL", _) => Rule::PairsInAnyOrder,
        (b"TTL" | b"EXPIRETIME", _) => Rule::Near(SECONDS_APART),
        (b"PTTL" | b"PEXPIRETIME", _) => Rule::Near(SECONDS_APART * 1000),
        (b"OBJECT", b"ENCODING") => Rule::Encoding,
        (b"OBJECT", b"IDLETIME") => Rule::Near(600),
        (b"OBJECT", b"REFCOUNT") | (b"MEMORY", b"USAGE") | (b"HELLO" | b"TIME", _) => Rule::SameType,
        // The texts are our own.
        (b"OBJECT" | b"PUBSUB" | b"COMMAND" | b"MEMORY" | b"CONFIG" | b"CLIENT" | b"ACL", b"HELP") => {
            Rule::SameType
        }
        (b"ACL", b"LIST" | b"GETUSER") => Rule::Users,
        (b"XPENDING", _) | (b"XINFO", b"STREAM" | b"GROUPS") => Rule::Stream,
        // Redis 7.2 makes a consumer that reads nothing, the oracle does not.
        (b"XINFO", b"CONSUMERS") | (b"XGROUP", b"CREATECONSUMER") => Rule::SameType,
        (b"SORT" | b"SORT_RO", _) => Rule::Sort,
        (b"SCAN" | b"HSCAN" | b"SSCAN" | b"ZSCAN", _) => Rule::Page,
        _ => Rule::Exact,
    }
}

/// The elements in groups of `size`, sorted by their text; `None` where the reply has no elements.
fn sorted(reply: &Reply, size: usize) -> Option<Vec<String>> {
    let elements = reply.elements()?;
    let size = if matches!(reply, Reply::Map(_)) { 2 } else { size };
    let mut groups: Vec<String> = elements
        .chunks(size)
        .map(|group| {
            group
                .iter()
                .flat_map(|element| element.lines())
                .collect::<Vec<_>>()
                .join("\n")
        })
        .collect();
    groups.sort();
    Some(groups)
}

/// A reply about a stream without its consumers, times and what follows from them.
fn timeless(reply: &Reply) -> Reply {
    const EARLIEST: i64 = 1_000_000_000_000;
    let is_consumers = |name: &Reply| name.bytes() == Some(b"consumers");
    match reply {
        Reply::Integer(time) if *time > EARLIEST => Reply::Integer(0),
        // Of XPENDING: the id, the owner, how long it has been idle, and how often it was delivered.
        Reply::Array(elements)
            if matches!(
                elements.as_slice(),
                [
                    Reply::Bulk(_),
                    Reply::Bulk(_),
                    Reply::Integer(_),
                    Reply::Integer(_)
                ]
            ) =>
        {
            Reply::Array(vec![
                elements[0].clone(),
                elements[1].clone(),
                elements[3].clone(),
            ])
        }
        Reply::Array(elements) => {
            let mut kept = Vec::new();
            let mut rest = elements.iter();
            while let Some(element) = rest.next() {
                if is_consumers(element) {
                    rest.next();
                } else {
                    kept.push(timeless(element));
                }
            }
            Reply::Array(kept)
        }
        Reply::Map(pairs) => Reply::Map(
            pairs
                .iter()
                .filter(|(name, _)| !is_consumers(name))
                .map(|(name, value)| (name.clone(), timeless(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn near(subject: &Reply, oracle: &Reply, distance: i64) -> bool {
    match (subject, oracle) {
        (Reply::Integer(left), Reply::Integer(right)) => {
            *left >= 0 && *right >= 0 && left.abs_diff(*right) <= distance.unsigned_abs()
        }
        _ => false,
    }
}

fn same_type(subject: &Reply, oracle: &Reply) -> bool {
    std::mem::discriminant(subject) == std::mem::discriminant(oracle) && !subject.is_error()
}

fn has_word(args: &[Vec<u8>], word: &str) -> bool {
    args.iter()
        .skip(2)
        .any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
}

fn sort(args: &[Vec<u8>], subject: &Reply, oracle: &Reply) -> Option<Same> {
    let (left, right) = (sorted(subject, 1)?, sorted(oracle, 1)?);
    let ties = has_word(args, "BY") || has_word(args, "ALPHA");
    let cut = has_word(args, "LIMIT") || has_word(args, "GET");
    (ties && (left == right || (cut && left.len() == right.len())))
        .then_some(Same::Explained(Reason::SortTies))
}

/// Whether two lists of users, or two users, agree in all but the rules about single commands and categories.
fn same_users(subject: &Reply, oracle: &Reply) -> bool {
    let is_rule = |word: &str| {
        let word = word.trim_matches(['"', '(', ')']);
        word.starts_with(['+', '-']) && !word.ends_with("@all")
    };
    // A selector's end may stand behind such a rule.
    let rest = |line: String| -> String {
        let words = line.split(' ').map(|word| {
            let end = word.chars().filter(|c| matches!(c, '(' | ')' | '"'));
            if is_rule(word) {
                end.collect()
            } else {
                // Shown so that it reads back: see docs/compatibility.md.
                word.replace("%RW~*", "~*")
            }
        });
        words.collect()
    };
    let text = |reply: &Reply| reply.lines().into_iter().map(rest).collect::<Vec<_>>();
    !subject.is_error() && !oracle.is_error() && text(subject) == text(oracle)
}

fn encoding(subject: &Reply, oracle: &Reply) -> Option<Same> {
    match (subject.text()?, oracle.text()?) {
        ("listpack", "hashtable") => Some(Same::Explained(Reason::SetListpack)),
        ("listpack", "quicklist") => Some(Same::Explained(Reason::ListListpack)),
        ("intset", "hashtable") => Some(Same::Explained(Reason::SetRebuilt)),
        _ => None,
    }
}

fn page(subject: &Reply, oracle: &Reply) -> bool {
    let is_page = |reply: &Reply| reply.elements().is_some_and(|elements| elements.len() == 2);
    is_page(subject) && is_page(oracle)
}

/// Compares two encodings read while looking at the state; for the rules see [`compare`].
pub fn compare_encodings(subject: &Reply, oracle: &Reply) -> Option<Same> {
    if subject == oracle {
        Some(Same::Yes)
    } else {
        encoding(subject, oracle)
    }
}

/// Compares two times to live in milliseconds.
pub fn compare_ttls(subject: &Reply, oracle: &Reply) -> bool {
    subject == oracle || near(subject, oracle, SECONDS_APART * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::split;

    fn outcome(line: &str, subject: &[u8], oracle: &[u8]) -> Option<Same> {
        let reply = |wire| Reply::decode(wire).unwrap().0;
        compare(&split(line).unwrap(), &reply(subject), &reply(oracle))
    }

    #[test]
    fn each_rule_lets_through_what_it_should() {
        assert_eq!(outcome("GET k", b"$1\r\na\r\n", b"$1\r\na\r\n"), Some(Same::Yes));
        assert_eq!(outcome("GET k", b"$1\r\na\r\n", b"$1\r\nb\r\n"), None);
        assert_eq!(
            outcome("SMEMBERS k", b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:2\r\n:1\r\n"),
            Some(Same::Yes)
        );
        assert_eq!(
            outcome("LRANGE k 0 -1", b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:2\r\n:1\r\n"),
            None
        );
        assert_eq!(
            outcome("HGETALL k", b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:2\r\n:1\r\n"),
            None
        );
        let user = |rules: &str| format!("*1\r\n${}\r\n{rules}\r\n", rules.len()).into_bytes();
        let (ours, theirs) = (
            user("user a on ~k -@all -get (&c -@all +get)"),
            user("user a on ~k -@all (&c -@all +get)"),
        );
        assert_eq!(
            outcome("ACL LIST", &ours, &theirs),
            Some(Same::Explained(Reason::AclRules))
        );
        assert_eq!(
            outcome("ACL LIST", &ours, &user("user a on ~k +@all (&c -@all +get)")),
            None
        );
        assert_eq!(outcome("ttl k", b":99\r\n", b":100\r\n"), Some(Same::Yes));
        assert_eq!(outcome("ttl k", b":-1\r\n", b":0\r\n"), None);
        assert_eq!(outcome("MEMORY USAGE k", b":-1\r\n", b"$-1\r\n"), None);
        assert_eq!(
            outcome("OBJECT ENCODING k", b"$8\r\nlistpack\r\n", b"$9\r\nhashtable\r\n"),
            Some(Same::Explained(Reason::SetListpack))
        );
    }
}
