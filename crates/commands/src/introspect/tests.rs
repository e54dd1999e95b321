//! Tests of the shapes. The comparison with Redis, command by command, is an end-to-end test.

use holdfast_resp::Proto;

use super::*;
use crate::flags;
use crate::spec::{Deprecated, Group};

const GETEX: Spec = Spec {
    name: "getex",
    arity: -2,
    flags: flags!(Flags: WRITE, FAST, ALL_SHARDS),
    acl: flags!(Acl: STRING),
    keys: &[KeySpec {
        notes: "a note",
        ..KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))
    }],
    group: Group::String,
    since: "6.2.0",
    summary: "Gets.",
    complexity: "O(1)",
    tips: &["a_tip"],
    args: &[
        Arg::key("key", 0),
        Arg::one_of(
            "how",
            &[
                Arg::integer("seconds").token("EX"),
                Arg::word("persist", "PERSIST"),
            ],
        )
        .opt()
        .multi_token()
        .since("6.2.1"),
    ],
    deprecated: Some(Deprecated {
        since: "9.0.0",
        replaced_by: "nothing",
    }),
};

fn written(proto: Proto, write: impl FnOnce(&mut Reply)) -> String {
    let mut reply = Reply::new(Vec::new(), proto);
    write(&mut reply);
    String::from_utf8_lossy(reply.as_bytes()).replace("\r\n", " ")
}

#[test]
fn info_in_both_protocols() {
    let sub = Spec {
        name: "getex|sub",
        arity: 2,
        ..Spec::DEFAULT
    };
    assert_eq!(
        written(Proto::Resp2, |reply| write_info(reply, &GETEX, &[&sub])),
        "*10 $5 getex :-2 *2 +write +fast :1 :1 :1 *3 +@write +@string +@fast *1 $5 a_tip *1 \
         *8 $5 notes $6 a note $5 flags *2 +RW +update \
         $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 \
         $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :0 $7 keystep :1 $5 limit :0 \
         *1 *10 $9 getex|sub :2 *0 :0 :0 :0 *1 +@slow *0 *0 *0 "
    );
    let resp3 = written(Proto::Resp3, |reply| write_info(reply, &GETEX, &[]));
    assert!(
        resp3.starts_with("*10 $5 getex :-2 ~2 +write +fast :1 :1 :1 ~3 "),
        "{resp3}"
    );
    assert!(resp3.contains("~1 %4 $5 notes"), "{resp3}");
}

#[test]
fn docs_as_a_map() {
    let docs = written(Proto::Resp3, |reply| write_docs(reply, &GETEX, &[]));
    assert_eq!(
        docs,
        "$5 getex %8 $7 summary $5 Gets. $5 since $5 6.2.0 $5 group $6 string $10 complexity $4 O(1) \
         $9 doc_flags ~1 +deprecated $16 deprecated_since $5 9.0.0 $11 replaced_by $7 nothing \
         $9 arguments *2 %3 $4 name $3 key $4 type $3 key $14 key_spec_index :0 \
         %5 $4 name $3 how $4 type $5 oneof $5 since $5 6.2.1 \
         $5 flags ~3 +optional +multiple +multiple_token \
         $9 arguments *2 %3 $4 name $7 seconds $4 type $7 integer $5 token $2 EX \
         %3 $4 name $7 persist $4 type $10 pure-token $5 token $7 PERSIST "
    );
}

#[test]
fn legacy_range_joins_neighbours() {
    let one = |index| KeySpec::one(index, KeyFlags::NONE);
    assert_eq!(legacy_range(&[]), (0, 0, 0));
    assert_eq!(legacy_range(&[one(1), one(2)]), (1, 2, 1));
    assert_eq!(legacy_range(&[one(1), one(3)]), (1, 1, 1));
    assert_eq!(
        legacy_range(&[one(1), KeySpec::range(2, -1, 1, KeyFlags::NONE)]),
        (1, -1, 1)
    );
    assert_eq!(
        legacy_range(&[KeySpec::range(1, -1, 2, KeyFlags::NONE)]),
        (1, -1, 2)
    );
    assert_eq!(
        legacy_range(&[one(1), KeySpec::counted(2, KeyFlags::NONE)]),
        (1, 1, 1)
    );
}

#[test]
fn getkeys_with_and_without_flags() {
    let keys = |line: &str, with_flags| {
        let argv: Vec<&str> = line.split(' ').collect();
        written(Proto::Resp3, |reply| {
            write_keys(reply, &GETEX, &argv[..], with_flags)
        })
    };
    assert_eq!(keys("getex k", false), "*1 $1 k ");
    assert_eq!(keys("getex k", true), "*1 *2 $1 k ~2 +RW +update ");
    assert_eq!(
        keys("getex", false),
        "-ERR Invalid number of arguments specified for command "
    );
    let argv = ["ping"];
    let ping = Spec {
        name: "ping",
        ..Spec::DEFAULT
    };
    assert_eq!(
        written(Proto::Resp2, |reply| write_keys(reply, &ping, &argv[..], false)),
        "-ERR The command has no key arguments "
    );
}

#[test]
fn tree_sorts_and_nests() {
    let spec = |name| Spec {
        name,
        ..Spec::DEFAULT
    };
    let all = [
        spec("object|freq"),
        spec("zadd"),
        spec("object"),
        spec("object|encoding"),
        spec("lost|sub"),
    ];
    let tree = tree(&all);
    let names: Vec<(&str, Vec<&str>)> = tree
        .iter()
        .map(|listed| {
            (
                listed.spec.name,
                listed.subcommands.iter().map(|sub| sub.name).collect(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("object", vec!["object|encoding", "object|freq"]),
            ("zadd", vec![])
        ]
    );
}
