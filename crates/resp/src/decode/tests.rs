//! What the decoder accepts, refuses and keeps; and that the cut of a stream into reads never matters.

use bytes::BufMut;
use proptest::prelude::*;

use super::*;
use crate::encode::{Proto, Reply, encode_command};

type Commands = Vec<Vec<Vec<u8>>>;

/// Feeds `reads` one after the other and returns all commands, and the error that ended the stream.
/// Where the decoder offers its own buffer, the next bytes go there, as a socket would write them.
fn drive<'a>(
    reads: impl IntoIterator<Item = &'a [u8]>,
    limits: &DecodeLimits,
) -> (Commands, Option<ProtocolError>) {
    let (mut decoder, mut scratch) = (CommandDecoder::new(), DecodeScratch::new());
    let mut commands = Vec::new();
    for mut read in reads {
        loop {
            if let Some(mut big) = decoder.big_buf() {
                let now = big.remaining_mut().min(read.len());
                big.put_slice(&read[..now]);
                read = &read[now..];
            }
            loop {
                match decoder.next(&mut read, &mut scratch, limits) {
                    Ok(Some(frame)) => {
                        assert_eq!(frame.iter().len(), frame.len());
                        commands.push(frame.iter().map(<[u8]>::to_vec).collect());
                    }
                    Ok(None) => break,
                    Err(error) => return (commands, Some(error)),
                }
            }
            if read.is_empty() {
                break;
            }
        }
    }
    (commands, None)
}

fn decode(stream: &[u8]) -> (Commands, Option<ProtocolError>) {
    drive([stream], &DecodeLimits::default())
}

fn words(commands: &[&[&str]]) -> Commands {
    commands
        .iter()
        .map(|args| args.iter().map(|arg| arg.as_bytes().to_vec()).collect())
        .collect()
}

/// Both ways through the decoder: whole, and byte by byte.
fn check(stream: &[u8], limits: &DecodeLimits, commands: &[&[&str]], error: Option<ProtocolError>) {
    let expected = (words(commands), error);
    assert_eq!(
        drive([stream], limits),
        expected,
        "whole: {:?}",
        stream.escape_ascii().to_string()
    );
    assert_eq!(
        drive(stream.chunks(1), limits),
        expected,
        "bytes: {:?}",
        stream.escape_ascii().to_string()
    );
}

fn accepts(stream: &[u8], commands: &[&[&str]]) {
    check(stream, &DecodeLimits::default(), commands, None);
}

fn refuses(stream: &[u8], error: ProtocolError) {
    check(stream, &DecodeLimits::default(), &[], Some(error));
}

#[test]
fn pipelined_commands_come_one_by_one() {
    accepts(
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n",
        &[&["GET", "k"], &["SET", "k", ""]],
    );
    accepts(
        b"*1\r\n$4\r\nPING\r\nECHO hi\r\n*1\r\n$4\r\nPING\r\n",
        &[&["PING"], &["ECHO", "hi"], &["PING"]],
    );
}

#[test]
fn commands_without_arguments_are_skipped() {
    accepts(
        b"*0\r\n*-1\r\n*-10\r\n\r\n\n  \r\n*1\r\n$4\r\nPING\r\n",
        &[&["PING"]],
    );
}

#[test]
fn the_bytes_behind_cr_and_behind_an_argument_are_not_looked_at() {
    accepts(b"*1\rX$4\rYPINGab*1\r\n$4\r\nPING\r\n", &[&["PING"], &["PING"]]);
}

#[test]
fn lines_wait_for_their_end() {
    for stream in [
        &b"*1"[..],
        b"*1\r",
        b"*1\r\n",
        b"*1\r\nx",
        b"*1\r\n\n",
        b"*2147483647\r\n",
        b"*1\r\n$4\r\nPING",
        b"PING",
    ] {
        accepts(stream, &[]);
    }
}

#[test]
fn malformed_numbers() {
    for count in [
        "abc",
        "",
        "+1",
        "01",
        "-0",
        " 1",
        "1 ",
        "2147483648",
        "-9223372036854775809",
        "-01",
    ] {
        refuses(
            format!("*{count}\r\n").as_bytes(),
            ProtocolError::InvalidMultibulkLength,
        );
    }
    for len in [
        "abc",
        "",
        "-1",
        "+4",
        "04",
        "-0",
        "536870913",
        "99999999999999999999",
    ] {
        refuses(
            format!("*1\r\n${len}\r\n").as_bytes(),
            ProtocolError::InvalidBulkLength,
        );
    }
    refuses(b"*1\r\n4\r\nPING\r\n", ProtocolError::ExpectedDollar(b'4'));
    refuses(b"*1\r\n\r\n", ProtocolError::ExpectedDollar(b'\r'));
    refuses(b"*3\r\n$3\r\nSET\r\n*1\r\n", ProtocolError::ExpectedDollar(b'*'));
}

#[test]
fn lines_without_end() {
    let digits = |prefix: &str, len: usize| [prefix.as_bytes(), &vec![b'1'; len]].concat();
    accepts(&digits("*", 65535), &[]);
    refuses(&digits("*", 65536), ProtocolError::TooBigMultibulkCount);
    accepts(&digits("*1\r\n$", 65535), &[]);
    refuses(&digits("*1\r\n$", 65536), ProtocolError::TooBigBulkCount);
    refuses(&digits("*1\r\n", 65537), ProtocolError::TooBigBulkCount);
    accepts(&digits("", 65536), &[]);
    refuses(&digits("", 65537), ProtocolError::TooBigInline);
}

#[test]
fn limits_before_auth() {
    let limits = DecodeLimits {
        authenticated: false,
        ..DecodeLimits::default()
    };
    check(b"*10\r\n", &limits, &[], None);
    check(
        b"*11\r\n",
        &limits,
        &[],
        Some(ProtocolError::UnauthenticatedMultibulkLength),
    );
    check(b"*1\r\n$16384\r\n", &limits, &[], None);
    check(
        b"*1\r\n$16385\r\n",
        &limits,
        &[],
        Some(ProtocolError::UnauthenticatedBulkLength),
    );
    check(
        b"*1\r\n$536870913\r\n",
        &limits,
        &[],
        Some(ProtocolError::InvalidBulkLength),
    );
    check(
        b"A b c d e f g h i j k l\r\n",
        &limits,
        &[&["A", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]],
        None,
    );
}

#[test]
fn the_query_buffer_limit_counts_a_command_as_sent() {
    let command = b"*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n";
    let limits = |max_query_buffer| DecodeLimits {
        max_query_buffer,
        ..DecodeLimits::default()
    };
    let twice = command.repeat(2);
    check(
        &twice,
        &limits(command.len()),
        &[&["ECHO", "abc"], &["ECHO", "abc"]],
        None,
    );
    check(
        &twice,
        &limits(command.len() - 1),
        &[],
        Some(ProtocolError::QueryBufferLimit),
    );
}

#[test]
fn inline_quoting() {
    accepts(b"PING\n\n\r\n PING  a\tb\r\n", &[&["PING"], &["PING", "a", "b"]]);
    accepts(
        br#"x "\n\r\t\b\a\x41\xzz\q\\" '\n' 'a\'b' a"b c" a'b c' "" '' a\nb"#,
        &[],
    );
    let line = [
        &br#"x "\n\r\t\b\a\x41\xzz\q\\" '\n' 'a\'b' a"b c" a'b c' "" '' a\nb"#[..],
        b"\r\n",
    ]
    .concat();
    accepts(
        &line,
        &[&[
            "x",
            "\n\r\t\u{8}\u{7}Axzzq\\",
            "\\n",
            "a'b",
            "ab c",
            "ab c",
            "",
            "",
            "a\\nb",
        ]],
    );
    accepts(
        b"PING a\rb \x0bc\x0bd \"e\rf\"\r\r\n",
        &[&["PING", "a", "b", "c\u{b}d", "e\rf"]],
    );
    accepts(b"PING a\x00b\r\n", &[&["PING", "a\0b"]]);
    for line in [
        "\"a", "'a", "\"a\"b", "a\"b", "a\"b\"c", "'a'b", "\"\\", "\"\\\"", "'\\'",
    ] {
        refuses(
            format!("PING {line}\r\n").as_bytes(),
            ProtocolError::UnbalancedQuotes,
        );
    }
}

#[test]
fn the_commands_before_an_error_are_decoded() {
    check(
        b"*1\r\n$4\r\nPING\r\n*1\r\n$x\r\n",
        &DecodeLimits::default(),
        &[&["PING"]],
        Some(ProtocolError::InvalidBulkLength),
    );
}

#[test]
fn error_replies_are_those_of_redis() {
    let text = |error: ProtocolError| {
        let mut reply = Reply::new(Vec::new(), Proto::Resp2);
        error.write_reply(&mut reply).then(|| reply.into_inner())
    };
    let expected = |reply: &[u8]| Some(reply.to_vec());
    assert_eq!(
        text(ProtocolError::ExpectedDollar(0xff)),
        expected(b"-ERR Protocol error: expected '$', got '\xff'\r\n")
    );
    assert_eq!(
        text(ProtocolError::ExpectedDollar(b'\r')),
        expected(b"-ERR Protocol error: expected '$', got ' '\r\n")
    );
    assert_eq!(
        text(ProtocolError::TooBigInline),
        expected(b"-ERR Protocol error: too big inline request\r\n")
    );
    assert_eq!(text(ProtocolError::QueryBufferLimit), None);
}

#[test]
fn a_big_argument_is_received_in_place() {
    let value = (0..3 << 20).map(|i: u32| (i % 251) as u8).collect::<Vec<_>>();
    let mut stream = Vec::new();
    encode_command(&mut stream, &[b"SET", b"key", &value]);
    stream.extend_from_slice(b"PING\r\n");
    let (mut decoder, mut scratch, limits) = (
        CommandDecoder::new(),
        DecodeScratch::new(),
        DecodeLimits::default(),
    );

    let (mut first, mut rest) = stream.split_at(100);
    assert!(decoder.next(&mut first, &mut scratch, &limits).unwrap().is_none());
    let (mut pointer, mut sockets_reads) = (std::ptr::null(), 0);
    while let Some(mut big) = decoder.big_buf() {
        assert!(big.remaining_mut() <= 3 << 20, "reserves as bytes arrive");
        let now = big.remaining_mut().min(rest.len());
        big.put_slice(&rest[..now]);
        rest = &rest[now..];
        sockets_reads += 1;
        pointer = decoder.partial.as_ref().unwrap().big_pointer();
    }
    assert_eq!(sockets_reads, 2);
    let frame = decoder
        .next(&mut &[][..], &mut scratch, &limits)
        .unwrap()
        .expect("the CRLF came along");
    assert_eq!(
        (frame.len(), frame.name(), frame.arg(1), frame.get(3)),
        (3, &b"SET"[..], &b"key"[..], None)
    );
    assert!(frame.arg(2) == value);
    assert_eq!(frame.shared(2).unwrap().as_ptr(), pointer, "moved, not copied");
    assert!(frame.shared(1).is_none() && frame.shared(9).is_none());
    assert_eq!(frame.to_bytes(2).as_ptr(), pointer);
    let owned = frame.to_owned();
    assert_eq!(owned.frame().unwrap().to_bytes(2).as_ptr(), pointer);
    assert_eq!(owned.frame().unwrap().arg(1), b"key");

    let frame = decoder.next(&mut rest, &mut scratch, &limits).unwrap().unwrap();
    assert_eq!(frame.name(), b"PING");
    assert!(decoder.next(&mut rest, &mut scratch, &limits).unwrap().is_none());
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn a_decoder_is_small_when_idle() {
    assert!(size_of::<CommandDecoder>() <= 8);
    let (mut decoder, mut scratch) = (CommandDecoder::new(), DecodeScratch::new());
    for mut read in [&b"*1\r\n$4\r\nPI"[..], b"NG\r\n"] {
        while decoder
            .next(&mut read, &mut scratch, &DecodeLimits::default())
            .unwrap()
            .is_some()
        {}
    }
    assert!(
        decoder.partial.is_none(),
        "given back once the command was executed"
    );
}

#[test]
fn a_million_arguments_in_small_reads() {
    let mut stream = b"*1000000\r\n".to_vec();
    for i in 0..1_000_000 {
        let text = i.to_string();
        stream.extend_from_slice(format!("${}\r\n{text}\r\n", text.len()).as_bytes());
    }
    let started = std::time::Instant::now();
    let (mut decoder, mut scratch) = (CommandDecoder::new(), DecodeScratch::new());
    let mut seen = 0;
    for mut read in stream.chunks(16 << 10) {
        while let Some(frame) = decoder
            .next(&mut read, &mut scratch, &DecodeLimits::default())
            .unwrap()
        {
            assert_eq!((frame.len(), frame.arg(999_999)), (1_000_000, &b"999999"[..]));
            seen += 1;
        }
        assert!(decoder.buffered() <= stream.len());
    }
    assert_eq!(seen, 1);
    assert!(
        started.elapsed().as_secs() < 5,
        "work must stay linear: {:?}",
        started.elapsed()
    );
}

#[test]
fn announced_lengths_reserve_little() {
    let (mut decoder, mut scratch) = (CommandDecoder::new(), DecodeScratch::new());
    let mut read = &b"*1000000000\r\n$536870912\r\nabc"[..];
    assert!(
        decoder
            .next(&mut read, &mut scratch, &DecodeLimits::default())
            .unwrap()
            .is_none()
    );
    assert_eq!(decoder.buffered(), 3);
    assert!(decoder.big_buf().unwrap().remaining_mut() <= 1 << 20);
}

/// Streams that are mostly valid, with fragments that are not.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let command =
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6).prop_map(|args| {
            let mut out = Vec::new();
            encode_command(&mut out, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
            out
        });
    let big = (32 * 1024..70_000usize).prop_map(|len| {
        let mut out = Vec::new();
        encode_command(&mut out, &[b"SET", b"k", &vec![b'v'; len]]);
        out
    });
    let odd = proptest::sample::select(
        [
            &b"*0\r\n"[..],
            b"*-5\r\n",
            b"\r\n",
            b"PING\r\n",
            b"SET a \"b c\"\n",
            b"*1\r\n",
            b"$3\r\nabc\r\n",
            b"*1\rx$1\ryzab",
            b"*2\r\n$01\r\n",
            b"\"x\r\n",
            b"\r",
            b"*",
            b"$",
            b"*\xff\r\n",
            b"\0",
            b"*1\r\n\r\n",
        ]
        .map(<[u8]>::to_vec)
        .to_vec(),
    );
    proptest::collection::vec(prop_oneof![12 => command, 1 => big, 4 => odd], 0..12)
        .prop_map(|parts| parts.concat())
}

/// Cuts `stream` at pseudo-random places, `seed` deciding.
fn cut(stream: &[u8], mut seed: u64) -> Vec<&[u8]> {
    let (mut rest, mut reads) = (stream, Vec::new());
    while !rest.is_empty() {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let longest = if seed >> 62 == 0 { 40_000 } else { 30 };
        let (read, tail) = rest.split_at(((seed >> 33) as usize % longest + 1).min(rest.len()));
        reads.push(read);
        rest = tail;
    }
    reads
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_cut_gives_the_same_commands(
        stream in stream(), seed: u64, authenticated: bool, max_query_buffer in 20usize..100_000,
    ) {
        let limits = DecodeLimits { authenticated, max_query_buffer, max_inline_len: 100, ..DecodeLimits::default() };
        prop_assert_eq!(drive([&stream[..]], &limits), drive(cut(&stream, seed), &limits));
    }

    #[test]
    fn arbitrary_bytes_never_panic(stream in proptest::collection::vec(any::<u8>(), 0..300), seed: u64) {
        let limits = DecodeLimits { max_inline_len: 50, ..DecodeLimits::default() };
        prop_assert_eq!(drive([&stream[..]], &limits), drive(cut(&stream, seed), &limits));
    }

    #[test]
    fn what_is_encoded_is_decoded(
        commands in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..20), 0..10),
        seed: u64,
    ) {
        let mut stream = Vec::new();
        for command in &commands {
            encode_command(&mut stream, &command.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        prop_assert_eq!(decode(&stream), (commands.clone(), None));
        prop_assert_eq!(drive(cut(&stream, seed), &DecodeLimits::default()), (commands, None));
    }

    #[test]
    fn owned_frames_keep_their_arguments(
        args in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..10),
    ) {
        let mut owned = OwnedFrame::from_args(args.iter().map(Vec::as_slice));
        owned.push_shared(bytes::Bytes::from_static(b"shared"));
        let copy = owned.frame().unwrap().to_owned();
        let mut expected = args.clone();
        expected.push(b"shared".to_vec());
        prop_assert_eq!(copy.frame().unwrap().iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), expected);
        prop_assert!(copy.frame().unwrap().shared(args.len()).is_some());
    }
}
