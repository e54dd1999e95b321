use proptest::prelude::*;

use super::*;
use crate::testing::{defaults, text, user};

/// The error of the last rule; the ones before it are right.
fn error(rules: &[&str]) -> Option<RuleError> {
    let (last, before) = rules.split_last().expect("a rule");
    let mut user = User::new(&defaults());
    for rule in before {
        user.apply(rule.as_bytes(), &defaults()).expect("a right rule");
    }
    let old = user.clone();
    let error = user.apply(last.as_bytes(), &defaults()).err();
    if error.is_some() {
        assert_eq!(user, old, "{last} changed the user");
    }
    error
}

#[test]
fn rules_are_shown_in_one_order() {
    for (rules, shown) in [
        ("off", "off resetchannels -@all"),
        ("reset", "off sanitize-payload resetchannels -@all"),
        ("&c ~k on +get nopass", "on nopass ~k resetchannels &c -@all +get"),
        ("ON ALLKEYS ALLCHANNELS ALLCOMMANDS", "on ~* &* +@all"),
        (
            "skip-sanitize-payload",
            "off skip-sanitize-payload resetchannels -@all",
        ),
        ("%R~a %W~a %r~b %wR~c", "off ~a %R~b ~c resetchannels -@all"),
        ("%RW~* ~x", "off %RW~* ~x resetchannels -@all"),
        ("~a ~* resetkeys ~b", "off ~b resetchannels -@all"),
        (
            "(+get ~a) (&c)",
            "off resetchannels -@all (~a resetchannels -@all +get) (resetchannels &c -@all)",
        ),
        ("(+get ~a) clearselectors", "off resetchannels -@all"),
        (
            ">",
            "off #e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 resetchannels -@all",
        ),
        (">a >b <a <b", "off resetchannels -@all"),
        ("db=3,1,3 ~a", "off ~a resetchannels db=1,3 -@all"),
        ("db=1 db=2", "off resetchannels db=2 -@all"),
        (
            "resetdbs (DB=0 +get)",
            "off resetchannels resetdbs -@all (resetchannels db=0 -@all +get)",
        ),
        ("resetdbs alldbs", "off resetchannels -@all"),
        ("nopass >a resetpass", "off resetchannels -@all"),
    ] {
        assert_eq!(text(&user(rules)), shown, "{rules}");
    }
}

#[test]
fn command_rules_are_kept_as_they_were_given() {
    for (rules, shown) in [
        ("+@all -@DANGEROUS", "+@all -@dangerous"),
        ("+GET +get -get", "-@all -get"),
        ("+get +@fast -@fast", "-@all +get -@fast"),
        ("+config|get -config|set +config", "-@all +config"),
        ("+select|0 +select|1 +select|1", "-@all +select|0 +select|1"),
        ("+select|0 -select", "-@all -select"),
        ("+get -@all +set", "-@all +set"),
        ("-get +@all", "+@all"),
    ] {
        let all = text(&user(rules));
        assert_eq!(all, format!("off resetchannels {shown}"), "{rules}");
    }
}

#[test]
fn wrong_rules() {
    use RuleError::*;
    for (rules, expected) in [
        (&["foo"][..], Some(Syntax)),
        (&["+nosuch"], Some(UnknownCommand)),
        (&["-nosuch"], Some(UnknownCommand)),
        (&["+@nosuch"], Some(UnknownCommand)),
        (&["+"], Some(UnknownCommand)),
        (&["+config|nosuch"], Some(UnknownCommand)),
        (&["+config|"], Some(Syntax)),
        (&["+config|get|x"], Some(FirstArgOfSubcommand)),
        (&["-get|x"], Some(UnknownCommand)),
        (&["+get|x|y"], Some(UnknownCommand)),
        (&["%"], Some(Syntax)),
        (&["%~x"], Some(Syntax)),
        (&["%RR~x"], Some(Syntax)),
        (&["%X~x"], Some(Syntax)),
        (&["%R"], None),
        (&["~a b"], Some(Syntax)),
        (&["&a b"], Some(Syntax)),
        (&["allkeys", "~x"], Some(AllKeys)),
        (&["allchannels", "&x"], Some(AllChannels)),
        (&["<x"], Some(NoSuchPassword)),
        (&["#0123"], Some(BadHash)),
        (&["!0123"], Some(BadHash)),
        (&["db="], Some(Database)),
        (&["db=1,"], Some(Database)),
        (&["db=-1"], Some(Database)),
        (&["db=99999999999"], Some(Database)),
        (&["(on)"], Some(Syntax)),
        (&["((+get))"], Some(Syntax)),
        (&["(\"+get)"], Some(Syntax)),
        (&["()"], None),
        (&["(+get ( ~a )"], Some(Syntax)),
        (&[""], None),
    ] {
        assert_eq!(error(rules), expected, "{rules:?}");
    }
}

#[test]
fn passwords() {
    let both = user("on >one >two");
    assert!(both.accepts(b"one") && both.accepts(b"two") && !both.accepts(b"three"));
    assert!(!user(">one").accepts(b"one"), "it is off");
    assert!(user("on nopass").accepts(b"anything"));
    assert!(!user("on nopass >one").accepts(b"anything"));
    let hash = Digest::of(b"one").hex();
    assert!(user(&format!("on #{hash}")).accepts(b"one"));
    assert!(!user(&format!("on >one >two !{hash}")).accepts(b"one"));
}

#[test]
fn a_user_does_not_grow_without_end() {
    let mut user = User::new(&defaults());
    let error = (0..=MOST_ITEMS).find_map(|i| user.apply(format!(">{i}").as_bytes(), &defaults()).err());
    assert_eq!(error, Some(RuleError::TooMany));
}

fn command_rule() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("get"),
        Just("set"),
        Just("config"),
        Just("config|get"),
        Just("config|set"),
        Just("@all"),
        Just("@read"),
        Just("@slow"),
        Just("@fast"),
        Just("@pubsub"),
    ];
    prop_oneof![
        9 => (prop_oneof![Just('+'), Just('-')], name).prop_map(|(sign, name)| format!("{sign}{name}")),
        1 => "[0-9a-c]{1,2}".prop_map(|arg| format!("+select|{arg}")),
    ]
}

fn inner_rule() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => command_rule(),
        1 => (prop_oneof![Just("~"), Just("%R~"), Just("%W~"), Just("%RW~")], "[a-c*?\"'\\\\]{0,3}")
            .prop_map(|(sign, pattern)| format!("{sign}{pattern}")),
        1 => "[a-c*\"\\\\]{0,3}".prop_map(|channel| format!("&{channel}")),
        1 => prop_oneof![Just("allkeys"), Just("resetkeys"), Just("allchannels"), Just("resetchannels"),
            Just("db=0,2"), Just("resetdbs"), Just("alldbs")]
            .prop_map(str::to_owned),
    ]
}

fn any_rule() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => inner_rule(),
        1 => proptest::collection::vec(inner_rule(), 0..5).prop_map(|rules| format!("({})", rules.join(" "))),
        1 => "[<>][a-b]".prop_map(|rule| rule),
        2 => prop_oneof![
            Just("on"), Just("off"), Just("nopass"), Just("resetpass"), Just("sanitize-payload"),
            Just("skip-sanitize-payload"), Just("clearselectors"), Just("reset"),
        ]
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_the_same_user(
        rules in proptest::collection::vec(any_rule(), 0..20),
        all_channels: bool,
    ) {
        let defaults = Defaults { all_channels, ..defaults() };
        let mut made = User::new(&defaults);
        for rule in &rules {
            let _some_are_wrong = made.apply(rule.as_bytes(), &defaults);
        }
        let printed = made.text();
        let mut read = User::new(&defaults);
        let words = printed.split(|&b| b == b' ');
        for rule in crate::join_selectors(words).expect("its parentheses close") {
            if let Err(error) = read.apply(&rule, &defaults) {
                panic!("{}: {error}", String::from_utf8_lossy(&printed));
            }
        }
        prop_assert_eq!(&read, &made, "{}", String::from_utf8_lossy(&printed));
        prop_assert_eq!(read.text(), printed);
    }
}
