//! The bytes of each reply, in both protocols.

use super::*;

fn in_both(write: impl Fn(&mut Reply)) -> (String, String) {
    let bytes = |proto| {
        let mut reply = Reply::new(Vec::new(), proto);
        write(&mut reply);
        reply.into_inner().escape_ascii().to_string()
    };
    (bytes(Proto::Resp2), bytes(Proto::Resp3))
}

fn check(write: impl Fn(&mut Reply), resp2: &str, resp3: &str) {
    assert_eq!(
        in_both(write),
        (
            resp2.escape_default().to_string(),
            resp3.escape_default().to_string()
        )
    );
}

#[test]
fn simple_types() {
    check(|r| r.ok(), "+OK\r\n", "+OK\r\n");
    check(|r| r.simple("a\r\nb"), "+a  b\r\n", "+a  b\r\n");
    check(|r| r.error("\nERR a\nb\r\n"), "-ERR a b\r\n", "-ERR a b\r\n");
    check(|r| r.error("\r\n"), "-\r\n", "-\r\n");
    check(|r| r.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n");
    check(|r| r.bulk_int(-12), "$3\r\n-12\r\n", "$3\r\n-12\r\n");
    check(|r| r.null(), "$-1\r\n", "_\r\n");
    check(|r| r.null_array(), "*-1\r\n", "_\r\n");
    check(|r| r.bool(true), ":1\r\n", "#t\r\n");
    check(|r| r.bool(false), ":0\r\n", "#f\r\n");
    check(
        |r| r.big_number("12345678901234567890"),
        "$20\r\n12345678901234567890\r\n",
        "(12345678901234567890\r\n",
    );
    check(|r| r.verbatim("txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
    check(|r| r.verbatim("x", b""), "$0\r\n\r\n", "=4\r\nx  :\r\n");
    check(|r| r.double(1.0), "$1\r\n1\r\n", ",1\r\n");
    check(
        |r| r.double(0.1),
        "$19\r\n0.10000000000000001\r\n",
        ",0.10000000000000001\r\n",
    );
    check(
        |r| r.double(-1234567.5),
        "$10\r\n-1234567.5\r\n",
        ",-1234567.5\r\n",
    );
    check(|r| r.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
}

#[test]
fn numbers_of_any_length() {
    for value in [0, 7, 9, 10, 42, 99, 100, 12345, -1, -10, i64::MAX, i64::MIN] {
        check(
            |r| r.int(value),
            &format!(":{value}\r\n"),
            &format!(":{value}\r\n"),
        );
    }
    for len in [0, 9, 10, 99, 100, 70_000] {
        check(|r| r.array(len), &format!("*{len}\r\n"), &format!("*{len}\r\n"));
        check(|r| r.set(len), &format!("*{len}\r\n"), &format!("~{len}\r\n"));
        check(|r| r.push(len), &format!("*{len}\r\n"), &format!(">{len}\r\n"));
        check(
            |r| r.map(len),
            &format!("*{}\r\n", 2 * len),
            &format!("%{len}\r\n"),
        );
        let text = "x".repeat(len);
        check(
            |r| r.bulk(text.as_bytes()),
            &format!("${len}\r\n{text}\r\n"),
            &format!("${len}\r\n{text}\r\n"),
        );
    }
}

#[test]
fn attributes_exist_in_resp3_only() {
    let write = |r: &mut Reply| {
        if r.attribute(1) {
            r.bulk(b"a");
            r.int(1);
        }
        r.ok();
    };
    check(write, "+OK\r\n", "|1\r\n$1\r\na\r\n:1\r\n+OK\r\n");
}

#[test]
fn deferred_lengths() {
    for len in [0, 1, 9, 10, 11, 100, 1234] {
        let elements = ":5\r\n".repeat(len);
        let write = |r: &mut Reply| {
            let outer = r.defer();
            let inner = r.defer();
            (0..len).for_each(|_| r.int(5));
            r.finish_array(inner, len);
            r.null();
            r.finish_map(outer, 1);
            r.ok();
        };
        check(
            write,
            &format!("*2\r\n*{len}\r\n{elements}$-1\r\n+OK\r\n"),
            &format!("%1\r\n*{len}\r\n{elements}_\r\n+OK\r\n"),
        );
    }
    let write = |r: &mut Reply| {
        let set = r.defer();
        r.finish_set(set, 12);
        let push = r.defer();
        r.finish_push(push, 3);
    };
    check(write, "*12\r\n*3\r\n", "~12\r\n>3\r\n");
}

#[test]
fn an_error_takes_the_output_back() {
    let mut reply = Reply::new(Vec::new(), Proto::Resp2);
    reply.ok();
    let mark = reply.mark();
    let deferred = reply.defer();
    reply.int(1);
    let _ = deferred;
    reply.truncate_to(mark);
    reply.error("ERR no");
    assert_eq!(reply.as_bytes(), b"+OK\r\n-ERR no\r\n");
    assert_eq!(
        (reply.len(), reply.take().len(), reply.is_empty()),
        (14, 14, true)
    );
}

#[test]
fn commands_for_the_log() {
    let mut out = b"x".to_vec();
    encode_command(&mut out, &[b"SET", b"k", &[b'v'; 123]]);
    assert_eq!(
        out,
        [
            b"x*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$123\r\n",
            &[b'v'; 123][..],
            b"\r\n"
        ]
        .concat()
    );
}
