use super::*;
use crate::testing::{SPECS, defaults, user};

fn check(rules: &str, line: &str) -> Result<(), Denied> {
    let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let two = [argv[0], argv.get(1).copied().unwrap_or_default()].join(&b'|');
    let catalog = defaults().catalog;
    let id = catalog
        .find(&two)
        .or_else(|| catalog.find(argv[0]))
        .expect("a command");
    user(rules).check(id, &SPECS[id], &argv[..], 0)
}

#[test]
fn commands_are_allowed_one_by_one_and_by_category() {
    let denied = Err(Denied::Command);
    assert_eq!(check("~*", "get k"), denied);
    assert_eq!(check("~* +get", "get k"), Ok(()));
    assert_eq!(check("~* +@all -get", "get k"), denied);
    assert_eq!(check("~* -@all +@fast -exists", "exists k"), denied);
    assert_eq!(check("+config|get", "config get a"), Ok(()));
    assert_eq!(check("+config|get", "config set a b"), denied);
    assert_eq!(check("+config -config|get", "config get a"), denied);
    assert_eq!(check("+@slow", "config get a"), Ok(()), "with their container");
    assert_eq!(check("-@all", "auth x"), Ok(()), "or nobody could log in");
}

#[test]
fn first_arguments() {
    assert_eq!(check("+select|0", "select 0"), Ok(()));
    assert_eq!(check("+select|0", "select 1"), Err(Denied::Command));
    assert_eq!(check("+select|0 -select", "select 0"), Err(Denied::Command));
    assert_eq!(check("+select|0 -@fast", "select 0"), Err(Denied::Command));
    assert_eq!(check("+@all +select|0", "select 5"), Ok(()));
    assert_eq!(check("~* +get|Some", "GET some"), Ok(()));
}

#[test]
fn keys_are_read_and_written_by_their_own_patterns() {
    let rules = "+@all %R~r* %W~w* ~rw*";
    assert_eq!(check(rules, "get r1"), Ok(()));
    assert_eq!(check(rules, "get w1"), Err(Denied::Key(1)));
    assert_eq!(check(rules, "set w1 x"), Ok(()));
    assert_eq!(check(rules, "set w1 x GET"), Err(Denied::Key(1)));
    assert_eq!(check(rules, "set rw1 x GET"), Ok(()));
    assert_eq!(check(rules, "copy r1 w1"), Ok(()));
    assert_eq!(check(rules, "copy w1 r1"), Err(Denied::Key(1)));
    assert_eq!(check(rules, "copy r1 r1"), Err(Denied::Key(2)));
    assert_eq!(
        check(rules, "exists r1 w1"),
        Ok(()),
        "neither reads nor writes the value"
    );
    assert_eq!(check(rules, "exists r1 other"), Err(Denied::Key(2)));
}

#[test]
fn channels_match_patterns_and_patterns_must_be_the_same() {
    let rules = "+@all &news* &a?";
    assert_eq!(check(rules, "subscribe news1 ab"), Ok(()));
    assert_eq!(check(rules, "subscribe news1 b"), Err(Denied::Channel(2)));
    assert_eq!(check(rules, "psubscribe news*"), Ok(()));
    assert_eq!(check(rules, "psubscribe news1*"), Err(Denied::Channel(1)));
    assert_eq!(check(rules, "publish b ab"), Err(Denied::Channel(1)));
    assert_eq!(check(rules, "publish ab b"), Ok(()));
    assert_eq!(check(rules, "unsubscribe b"), Ok(()));
    assert_eq!(check("+@all allchannels", "psubscribe *"), Ok(()));
}

#[test]
fn databases_are_those_named_and_the_selected_one_for_data() {
    let denied = |db| Err(Denied::Database(db));
    assert_eq!(check("+@all ~* db=1,2", "get k"), denied(0));
    assert_eq!(check("+@all ~* db=0,2", "get k"), Ok(()));
    assert_eq!(check("+@all ~* db=1", "select 1"), Ok(()));
    assert_eq!(check("+@all ~* db=1", "select 2"), denied(2));
    assert_eq!(check("+@all ~* db=0", "copy a b"), Ok(()));
    assert_eq!(check("+@all ~* db=0", "copy a b DB 0 REPLACE db 1"), denied(1));
    assert_eq!(
        check("+@all ~* db=1", "copy a b db 1"),
        denied(0),
        "it reads from here"
    );
    assert_eq!(check("+@all ~* &* db=1", "publish c m"), Ok(()), "no data");
    assert_eq!(check("+@all ~* resetdbs", "config get a"), Ok(()));
    assert_eq!(check("+@all ~* resetdbs", "get a"), denied(0));
    assert_eq!(check("+@all ~* db=1 alldbs", "get a"), Ok(()));
    assert_eq!(check("-@all (+get ~* db=1) (+get ~a db=0)", "get a"), Ok(()));
}

#[test]
fn one_selector_must_allow_everything() {
    let rules = "+get ~a (+set ~b) (+copy ~a ~b)";
    assert_eq!(check(rules, "get a"), Ok(()));
    assert_eq!(check(rules, "set b x"), Ok(()));
    assert_eq!(check(rules, "get b"), Err(Denied::Key(1)));
    assert_eq!(check(rules, "copy a b"), Ok(()));
    assert_eq!(check(rules, "copy a c"), Err(Denied::Key(2)));
    assert_eq!(check(rules, "exists a"), Err(Denied::Command));
    assert_eq!(
        check("+copy ~x (+copy ~a)", "copy a c"),
        Err(Denied::Key(2)),
        "the last of them"
    );
}

#[test]
fn sort_reads_other_keys_only_with_the_right_to_all() {
    let forbidden = |rules: &str, line: &str| {
        let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let id = defaults().catalog.find(b"sort").expect("it is there");
        user(rules).forbidden_sort_option(id, &SPECS[id], &argv[..], 0)
    };
    for (line, option) in [
        ("sort l BY x*", Some(SortOption::By)),
        ("sort l BY nosort get x", Some(SortOption::Get)),
        ("sort l get #", Some(SortOption::Get)),
        ("sort l BY nosort", None),
        ("sort l LIMIT a 1 BY x*", None),
        ("sort l LIMIT 0 1 STORE l BY x*", Some(SortOption::By)),
        ("sort l FOO BY x*", None),
        ("sort l BY", None),
        ("sort l", None),
    ] {
        assert_eq!(forbidden("+@all ~l", line), option, "{line}");
        assert_eq!(forbidden("+@all ~l %R~*", line), None, "{line}");
        assert_eq!(forbidden("+@all ~l (+sort ~*)", line), None, "{line}");
        assert_eq!(forbidden("+@all ~l %W~* (+get ~*)", line), option, "{line}");
    }
}
