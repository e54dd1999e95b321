use super::*;
use crate::testing::{defaults, text};

fn parse(text: &str) -> Result<Vec<Declared>, String> {
    parse_file("f", text.as_bytes(), &defaults())
}

#[test]
fn a_file_reads_back() {
    let file = "user a on nopass ~x resetchannels &y +@all (~z resetchannels -@all +get)\nuser b off resetchannels -@all\n";
    let users = parse(file).unwrap();
    let printed = print_file(users.iter().map(|d| (&*d.name, d.user.text())));
    assert_eq!(String::from_utf8_lossy(&printed), file);
    let loose = parse("\n  user a on   +get   ~x  \r\n\t\n").unwrap();
    assert_eq!(text(&loose[0].user), "on ~x resetchannels -@all +get");
}

#[test]
fn every_wrong_line_is_named_and_no_user_comes_out() {
    let end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
    for (file, faults) in [
        (
            "user a on\nfoo\n",
            "f:2 should start with user keyword followed by the username. ",
        ),
        (
            "user",
            "f:1 should start with user keyword followed by the username. ",
        ),
        (
            "user a\nuser a off",
            "WARNING: Duplicate user 'a' found on line 2. ",
        ),
        (
            "user a +nosuch\nuser b (+get",
            "f:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. f:2: Unmatched parenthesis in selector definition. ",
        ),
        (
            "user a >secret #secret",
            "f:1: The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters. ",
        ),
        ("user \tb on", "f:1: username '\tb' contains invalid characters. "),
    ] {
        assert_eq!(parse(file).unwrap_err(), format!("{faults}{end}"), "{file:?}");
    }
    assert!(parse(&"foo\n".repeat(1_000_000)).unwrap_err().len() < 10_000);
}
