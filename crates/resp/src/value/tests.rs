//! Values from bytes and back, and their text beside that of `redis-cli` 7.0.15.

use proptest::prelude::*;

use super::*;
use crate::encode::Proto;

fn decode(bytes: &[u8]) -> Value {
    let (value, len) = decode_value(bytes).unwrap().expect("whole");
    assert_eq!(len, bytes.len());
    value
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

#[test]
fn every_type() {
    assert_eq!(decode(b"+OK\r\n"), Value::Simple(b"OK".to_vec()));
    assert_eq!(decode(b"-ERR x\r\n"), Value::Error(b"ERR x".to_vec()));
    assert_eq!(decode(b"!5\r\nERR x\r\n"), Value::Error(b"ERR x".to_vec()));
    assert_eq!(decode(b":-5\r\n"), Value::Int(-5));
    assert_eq!(decode(b"$3\r\na\r\n\r\n"), bulk("a\r\n"));
    for null in [&b"$-1\r\n"[..], b"*-1\r\n", b"_\r\n"] {
        assert_eq!(decode(null), Value::Null);
    }
    assert_eq!(
        decode(b"*2\r\n:1\r\n*0\r\n"),
        Value::Array(vec![Value::Int(1), Value::Array(vec![])])
    );
    assert_eq!(decode(b"~1\r\n#t\r\n"), Value::Set(vec![Value::Bool(true)]));
    assert_eq!(decode(b">1\r\n#f\r\n"), Value::Push(vec![Value::Bool(false)]));
    assert_eq!(
        decode(b"%1\r\n+k\r\n,1.5\r\n"),
        Value::Map(vec![(Value::Simple(b"k".to_vec()), Value::Double(1.5))])
    );
    assert_eq!(decode(b",-inf\r\n"), Value::Double(f64::NEG_INFINITY));
    assert!(matches!(decode(b",nan\r\n"), Value::Double(nan) if nan.is_nan()));
    assert_eq!(
        decode(b"=6\r\ntxt:hi\r\n"),
        Value::Verbatim(*b"txt", b"hi".to_vec())
    );
    assert_eq!(
        decode(b"(-12345678901234567890\r\n"),
        Value::BigNumber(b"-12345678901234567890".to_vec())
    );
    assert_eq!(
        decode(b"|1\r\n+k\r\n:1\r\n+OK\r\n"),
        Value::Attribute(
            vec![(Value::Simple(b"k".to_vec()), Value::Int(1))],
            Box::new(Value::Simple(b"OK".to_vec()))
        )
    );
}

#[test]
fn what_is_no_reply() {
    let cases: [(&[u8], ValueError); 14] = [
        (b"x", ValueError::UnknownType(b'x')),
        (b":x\r\n", ValueError::InvalidNumber),
        (b":1\n", ValueError::MissingCrlf),
        (b"+a\rb\r\n", ValueError::MissingCrlf),
        (b"$1\r\nabc", ValueError::MissingCrlf),
        (b"$x\r\n", ValueError::InvalidLength),
        (b"$-2\r\n", ValueError::InvalidLength),
        (b"~-1\r\n", ValueError::InvalidLength),
        (b"*99999999999\r\n", ValueError::InvalidLength),
        (b"=3\r\ntxt\r\n", ValueError::InvalidLength),
        (b"#x\r\n", ValueError::InvalidNumber),
        (b",x\r\n", ValueError::InvalidNumber),
        (b"(1x\r\n", ValueError::InvalidNumber),
        (&b"*1\r\n".repeat(MAX_DEPTH + 2), ValueError::TooDeep),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode_value(bytes), Err(error), "{}", bytes.escape_ascii());
    }
    assert_eq!(
        decode_value(b"*1000000000\r\n:1\r\n"),
        Ok(None),
        "an announced length reserves nothing"
    );
}

/// The texts were taken from `redis-cli --no-raw -3`, fed with these bytes.
#[test]
fn texts_of_redis_cli() {
    let cases: [(&[u8], &str); 12] = [
        (
            b"%2\r\n*2\r\n:1\r\n:2\r\n*0\r\n*1\r\n:1\r\n%2\r\n+a\r\n:1\r\n+b\r\n~2\r\n#t\r\n#f\r\n",
            "1# 1) (integer) 1\n   2) (integer) 2 => (empty array)\n2# 1) (integer) 1 => \n   1# a => (integer) 1\n   \
             2# b => \n      1~ (true)\n      2~ (false)",
        ),
        (
            b"$16\r\na\\b\"c\n\r\t\x07\x08\x00\x7f\xffxyz\r\n",
            r#""a\\b\"c\n\r\t\a\b\x00\x7f\xffxyz""#,
        ),
        (b",1.5\r\n", "(double) 1.5"),
        (b",inf\r\n", "(double) inf"),
        (b"*3\r\n_\r\n*-1\r\n$-1\r\n", "1) (nil)\n2) (nil)\n3) (nil)"),
        (
            b"*2\r\n=8\r\ntxt:ab\nc\r\n-ERR x\r\n",
            "1) ab\nc\n2) (error) ERR x",
        ),
        (b"%1\r\n+k\r\n=8\r\ntxt:ab\nc\r\n", "1# k => ab\nc"),
        (
            b"%1\r\n%1\r\n+k\r\n+v\r\n*2\r\n+x\r\n+y\r\n",
            "1# 1# k => v => \n   1) x\n   2) y",
        ),
        (b"%0\r\n", "(empty hash)"),
        (b"~0\r\n", "(empty set)"),
        (b"+O\r\n", "O"),
        (b"*0\r\n", "(empty array)"),
    ];
    for (bytes, text) in cases {
        assert_eq!(decode(bytes).to_string(), text);
    }
    let eleven = [
        &b"*11\r\n"[..],
        &b"*2\r\n:1\r\n%1\r\n:1\r\n*1\r\n~0\r\n".repeat(11),
    ]
    .concat();
    let text = decode(&eleven).to_string();
    assert!(text.starts_with(" 1) 1) (integer) 1\n    2) 1# (integer) 1 => 1) (empty set)\n 2) 1) "));
    assert!(text.ends_with("\n11) 1) (integer) 1\n    2) 1# (integer) 1 => 1) (empty set)"));
}

#[test]
fn values_fall_back_in_resp2() {
    let value = decode(b"|1\r\n+k\r\n:1\r\n%2\r\n+a\r\n,0.5\r\n+b\r\n~1\r\n#t\r\n");
    let mut reply = Reply::new(Vec::new(), Proto::Resp2);
    value.write(&mut reply);
    assert_eq!(reply.as_bytes(), b"*4\r\n+a\r\n$3\r\n0.5\r\n+b\r\n*1\r\n:1\r\n");
}

fn value() -> impl Strategy<Value = Value> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let line = || "[ -~]{0,20}".prop_map(String::into_bytes);
    let leaf = prop_oneof![
        line().prop_map(Value::Simple),
        line().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Int),
        bytes().prop_map(Value::Bulk),
        Just(Value::Null),
        any::<f64>()
            .prop_filter("not equal to itself", |v| !v.is_nan())
            .prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
        bytes().prop_map(|text| Value::Verbatim(*b"txt", text)),
        "-?[0-9]{1,40}".prop_map(|digits| Value::BigNumber(digits.into_bytes())),
    ];
    leaf.prop_recursive(4, 60, 12, |inner| {
        let many = proptest::collection::vec(inner.clone(), 0..12);
        let pairs = proptest::collection::vec((inner.clone(), inner.clone()), 0..6);
        prop_oneof![
            many.clone().prop_map(Value::Array),
            many.clone().prop_map(Value::Set),
            many.prop_map(Value::Push),
            pairs.clone().prop_map(Value::Map),
            (pairs, inner).prop_map(|(pairs, value)| Value::Attribute(pairs, Box::new(value))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(value in value(), tail in proptest::collection::vec(any::<u8>(), 0..5), cut: prop::sample::Index) {
        let mut reply = Reply::new(Vec::new(), Proto::Resp3);
        value.write(&mut reply);
        let len = reply.len();
        reply.raw(&tail);
        let _ = value.to_string();
        prop_assert_eq!(decode_value(&reply.as_bytes()[..cut.index(len)]), Ok(None), "a beginning is not whole");
        prop_assert_eq!(decode_value(reply.as_bytes()), Ok(Some((value, len))));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(
        prop_oneof![2 => proptest::sample::select(&b"*$%~>|:+-_#,(=!\r\n0123"[..]), 1 => any::<u8>()], 0..100)) {
        if let Ok(Some((value, len))) = decode_value(&bytes) {
            prop_assert!(len <= bytes.len());
            let _ = value.to_string();
        }
    }
}
