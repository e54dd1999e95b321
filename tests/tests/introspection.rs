//! What COMMAND says about commands: the subject's declarations against `redis-server`.
//!
//! Every command that both know must have the same COMMAND INFO, the same COMMAND DOCS apart from the texts that are
//! our own, and the same keys for the same arguments. Differences on purpose stand in one table, with the reason.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use holdfast_tests::client::Client;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::Server;

/// Commands whose COMMAND INFO or COMMAND DOCS differs from Redis 7.0, and why.
const EXPLAINED: &[(&str, &str)] = &[
    ("blmove", "7.2 allows it in scripts, where it does not block"),
    ("blpop", "7.2 allows it in scripts, where it does not block"),
    ("brpop", "7.2 allows it in scripts, where it does not block"),
    ("brpoplpush", "7.2 allows it in scripts, where it does not block"),
    ("bzpopmax", "7.2 allows it in scripts, where it does not block"),
    ("bzpopmin", "7.2 allows it in scripts, where it does not block"),
    ("wait", "7.2 allows it in scripts; it blocks, so it is flagged so"),
    ("zrank", "WITHSCORE is of 7.2"),
    ("zrevrank", "WITHSCORE is of 7.2"),
    ("quit", "deprecated since 7.2"),
    ("scan", "7.2 adds a response policy"),
    (
        "msetnx",
        "7.2 drops the request policy, which would break its atomicity",
    ),
    ("set", "has conditions of Redis 8.4"),
    ("geosearch", "BYPOLYGON is of Valkey 9"),
    ("geosearchstore", "BYPOLYGON is of Valkey 9"),
    ("xadd", "has options of Redis 8.2 and 8.6"),
    ("xread", "has limits of Redis 8.10"),
    ("xreadgroup", "has options of Redis 8.4 and 8.10"),
    ("xtrim", "has references of Redis 8.2"),
    ("zinter", "AGGREGATE COUNT is of Redis 8.8"),
    ("zinterstore", "AGGREGATE COUNT is of Redis 8.8"),
    ("zunion", "AGGREGATE COUNT is of Redis 8.8"),
    ("zunionstore", "AGGREGATE COUNT is of Redis 8.8"),
    ("client|list", "takes the filters of Valkey 9"),
    (
        "client|kill",
        "Redis shows that one argument is deprecated; we describe none of those",
    ),
];

/// Arguments whose keys are compared.
const KEYS: &[&str] = &[
    "get k",
    "get",
    "get a b",
    "GET \"\"",
    "nosuch k",
    "set k v",
    "set k v get",
    "set k v px 3 GeT",
    "set get get get",
    "mget a b c",
    "mset a 1 b 2",
    "mset a 1 b",
    "msetnx a",
    "del a b a",
    "ping",
    "publish a b",
    "spublish a b",
    "ssubscribe a b",
    "config get x",
    "client",
    "client nosuch",
    "client list",
    "object encoding k",
    "object freq",
    "object help",
    "object nosuch k",
    "xgroup",
    "xgroup create k g 1",
    "xinfo stream k",
    "memory usage k",
    "memory doctor",
    "blpop a b 0",
    "blpop a",
    "bzpopmin a b c 0",
    "bitop and d a b",
    "bitop not d a",
    "bitfield k",
    "bitfield k get u8 0",
    "bitfield k get u8 0 get u8 8",
    "bitfield k set u8 0 1",
    "bitfield k get u8 0 set u8 0 1",
    "bitfield k incrby u8 0 1",
    "bitfield k overflow wrap",
    "bitfield k overflow sat get u8 0",
    "bitfield k overflow sat incrby u8 0 1",
    "bitfield k nosuch",
    "bitfield k get u8 0 nosuch",
    "bitfield_ro k get u8 0",
    "pfcount a b",
    "pfmerge d a",
    "pfmerge d",
    "pfdebug getreg k",
    "sort k",
    "sort k by w get a get b store d get x",
    "sort k store a store b",
    "sort k limit 0 1 store x",
    "sort k limit store 1 store d",
    "sort k by store store d",
    "sort k get store alpha store d",
    "sort k store",
    "sort_ro k by x",
    "zunionstore d 2 a b",
    "zunionstore d 2 a b weights 1 2",
    "zunionstore d x a b",
    "zunionstore d 0 a",
    "zunionstore d 5 a b",
    "zunionstore d -1 a",
    "zunionstore d 9223372036854775807 a",
    "zinter 1 a",
    "zdiff 2 a b withscores",
    "zintercard 1 a limit 1",
    "sintercard 2 a b limit 3",
    "sintercard 0 a",
    "lmpop 2 a b left",
    "lmpop 0 a left",
    "blmpop 0 2 a b left",
    "blmpop 0 5 a b left",
    "bzmpop 0 1 a min",
    "zmpop 1 a min",
    "eval s 0",
    "eval s 0 a",
    "eval s 2 a b c",
    "eval s 3 a b",
    "eval s -1 a",
    "eval s x",
    "eval s 2 a",
    "evalsha s 1 a",
    "eval_ro s 1 k",
    "fcall f 1 a",
    "fcall_ro f 0 a",
    "georadius k 1 2 3 m",
    "georadius k 1 2 3 m store x storedist y",
    "georadius k 1 2 3 m storedist y STORE x",
    "georadius k 1 2 3 m withdist count 3 any store x",
    "georadius k 1 2 3 m store",
    "georadius k 1 2 3 m storedist",
    "georadius_ro k 1 2 3 m",
    "georadiusbymember k m 3 m store x",
    "georadiusbymember k m 3 m storedist x",
    "geosearch k frommember m byradius 1 m",
    "geosearchstore d s frommember m byradius 1 m",
    "migrate h 1 k 0 10",
    "migrate h 1 \"\" 0 10",
    "migrate h 1 \"\" 0 10 keys a b",
    "migrate h 1 \"\" 0 10 copy auth x keys a b",
    "migrate h 1 \"\" 0 10 auth keys keys a b",
    "migrate h 1 \"\" 0 10 copy auth2 keys keys keys a",
    "migrate h 1 k 0 10 keys a b",
    "migrate h 1 k 0 10 copy replace",
    "xread streams a 1",
    "xread streams a b 1 2",
    "xread streams a b 1",
    "xread count 1 block 3 STREAMS a 1",
    "xread count 2 x a 1",
    "xreadgroup group g c streams a b 1 2",
    "xreadgroup group g c count 1 noack streams a >",
    "xreadgroup group streams streams streams a >",
    "xadd k * f v",
    "copy a b",
    "rename a b",
    "smove a b m",
    "lmove a b left right",
    "sinterstore d a b",
    "zrangestore d s 0 1",
    "lcs a b",
    "watch a b",
    "debug object k",
    "restore-asking k 0 x",
    "acl dryrun u get x",
    "command getkeys get a",
];

#[test]
fn command_info_and_docs_agree_with_redis() -> Result<()> {
    let (subject, oracle) = (Server::subject()?, Server::oracle()?);
    let mut differences = Vec::new();
    let mut explained = BTreeSet::new();
    for protocol in ["2", "3"] {
        let (mut ours, mut theirs) = (subject.connect()?, oracle.connect()?);
        ours.call(&["HELLO", protocol])?;
        theirs.call(&["HELLO", protocol])?;
        for name in names(&mut theirs)? {
            for Part { what, ours, theirs } in both(&mut ours, &mut theirs, &name)? {
                if ours == theirs {
                    continue;
                }
                match EXPLAINED.iter().find(|(explained, _)| *explained == name) {
                    Some((name, _)) => _ = explained.insert(*name),
                    None => differences.push(difference(&format!("{name}, {what}"), &ours, &theirs)),
                }
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    for (name, reason) in EXPLAINED {
        if !explained.contains(name) {
            println!("{name} does not differ, or is not there yet: {reason}");
        }
    }
    Ok(())
}

#[test]
fn command_getkeys_agrees_with_redis() -> Result<()> {
    let (subject, oracle) = (Server::subject()?, Server::oracle()?);
    let (mut ours, mut theirs) = (subject.connect()?, oracle.connect()?);
    let known = listed(&mut ours, "command list")?;
    let (mut differences, mut compared) = (Vec::new(), 0);
    for line in KEYS {
        let name = line.split(' ').next().unwrap_or_default();
        if !known.contains(&name.to_lowercase()) {
            println!("{name} is not there yet: {line}");
            continue;
        }
        for how in ["getkeys", "getkeysandflags"] {
            let line = format!("command {how} {line}");
            let (a, b) = (ours.command(&line)?, theirs.command(&line)?);
            compared += 1;
            if a != b {
                differences.push(difference(&line, &a, &b));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(compared > 100, "only {compared} lines were compared");
    Ok(())
}

#[test]
fn command_list_filters_agree_with_redis() -> Result<()> {
    let (subject, oracle) = (Server::subject()?, Server::oracle()?);
    let (mut ours, mut theirs) = (subject.connect()?, oracle.connect()?);
    let known: BTreeSet<String> = listed(&mut ours, "command list")?
        .intersection(&listed(&mut theirs, "command list")?)
        .filter(|name| EXPLAINED.iter().all(|(explained, _)| explained != name))
        .cloned()
        .collect();
    let mut filters: Vec<String> = listed(&mut theirs, "acl cat")?
        .iter()
        .map(|category| format!("aclcat {category}"))
        .collect();
    filters.extend(
        [
            "pattern *",
            "pattern G?T",
            "pattern [x-z]*",
            "module none",
            "aclcat none",
        ]
        .map(str::to_owned),
    );
    for filter in filters {
        let line = format!("command list filterby {filter}");
        let (a, b) = (listed(&mut ours, &line)?, listed(&mut theirs, &line)?);
        let only =
            |names: BTreeSet<String>| -> BTreeSet<String> { names.intersection(&known).cloned().collect() };
        assert_eq!(only(a), only(b), "{line}");
    }
    for wrong in [
        "command list filterby",
        "command list filterby nosuch x",
        "command list x",
    ] {
        assert_eq!(ours.command(wrong)?, theirs.command(wrong)?, "{wrong}");
    }
    Ok(())
}

fn listed(client: &mut Client, line: &str) -> Result<BTreeSet<String>> {
    let list = client.command(line)?;
    let names = list.elements().with_context(|| format!("{line} gives no list"))?;
    Ok(names
        .iter()
        .filter_map(|name| name.text().map(str::to_owned))
        .collect())
}

fn difference(what: &str, ours: &Reply, theirs: &Reply) -> String {
    format!("{what}\n  holdfast {ours:?}\n  redis    {theirs:?}")
}

/// Commands and subcommands.
fn names(client: &mut Client) -> Result<Vec<String>> {
    let list = client.command("command list")?;
    let mut names: Vec<String> = list
        .elements()
        .context("COMMAND LIST gives no list")?
        .iter()
        .filter_map(|name| name.text().map(str::to_owned))
        .collect();
    names.sort();
    let containers: Vec<String> = names.iter().filter(|name| !name.contains('|')).cloned().collect();
    for container in containers {
        let info = client.call(&["COMMAND", "INFO", &container])?;
        let entry = info.elements().context("COMMAND INFO gives no list")?[0].elements();
        for sub in entry.context("a command has no entry")?[9]
            .elements()
            .unwrap_or_default()
        {
            let sub = sub
                .elements()
                .and_then(|entry| entry[0].text().map(str::to_owned));
            names.extend(sub);
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// What both say about a command.
struct Part {
    what: &'static str,
    ours: Reply,
    theirs: Reply,
}

/// The comparable parts of INFO and DOCS of both; nothing if the subject does not know the command.
fn both(ours: &mut Client, theirs: &mut Client, name: &str) -> Result<Vec<Part>> {
    let info = ["COMMAND", "INFO", name];
    let (a, b) = (ours.call(&info)?, theirs.call(&info)?);
    if a.elements()
        .is_some_and(|list| list.len() == 1 && list[0].is_null())
    {
        return Ok(Vec::new());
    }
    let docs = ["COMMAND", "DOCS", name];
    let (c, d) = (ours.call(&docs)?, theirs.call(&docs)?);
    Ok(vec![
        Part {
            what: "INFO",
            ours: without_subcommands(a),
            theirs: without_subcommands(b),
        },
        Part {
            what: "DOCS",
            ours: without_own_texts(c),
            theirs: without_own_texts(d),
        },
    ])
}

/// Subcommands are compared one by one, and the texts of key specs are our own.
fn without_subcommands(info: Reply) -> Reply {
    let Reply::Array(mut entries) = info else {
        return info;
    };
    if let Some(Reply::Array(entry)) = entries.first_mut() {
        entry.truncate(9);
    }
    without(Reply::Array(entries), &["notes"])
}

fn without_own_texts(docs: Reply) -> Reply {
    without(
        docs,
        &["summary", "complexity", "history", "replaced_by", "subcommands"],
    )
}

/// The reply without the pairs of maps that have these names. In RESP2 maps are arrays of names and values.
fn without(reply: Reply, dropped: &[&str]) -> Reply {
    let is_dropped =
        |key: &Reply| matches!(key, Reply::Bulk(_)) && key.text().is_some_and(|text| dropped.contains(&text));
    match reply {
        Reply::Map(pairs) => Reply::Map(
            pairs
                .into_iter()
                .filter(|(key, _)| !is_dropped(key))
                .map(|(key, value)| (key, without(value, dropped)))
                .collect(),
        ),
        Reply::Array(items) => Reply::Array(without_items(items, is_dropped, dropped)),
        Reply::Set(items) => Reply::Set(without_items(items, is_dropped, dropped)),
        other => other,
    }
}

fn without_items(items: Vec<Reply>, is_dropped: impl Fn(&Reply) -> bool, dropped: &[&str]) -> Vec<Reply> {
    let mut kept = Vec::new();
    let mut items = items.into_iter().peekable();
    while let Some(item) = items.next() {
        // An array of one name is a list of arguments; a pair needs a value behind it.
        if is_dropped(&item) && items.peek().is_some() {
            items.next();
        } else {
            kept.push(without(item, dropped));
        }
    }
    kept
}
