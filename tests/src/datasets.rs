//! Data of every type and encoding, to be moved from one server to another.

use std::fmt::Debug;

use anyhow::{Result, ensure};

use crate::client::Client;

/// What is not a plain write of one key, or is logged as something else than what was sent.
pub const LOGGED_OTHERWISE: &[&str] = &[
    "SET relative v EX 100000",
    "SETEX also 100000 v",
    "EXPIRE int 200000",
    "GETEX text EX 300000",
    "INCRBYFLOAT float 0.1",
    "INCRBYFLOAT float 1e10",
    "HINCRBYFLOAT fhash f 0.1",
    "SADD popped 1 2 3 4 5 6 7 8",
    "SPOP popped 3",
    "SPOP popped",
    "ZADD zpop 1 a 2 b 3 c",
    "ZPOPMIN zpop",
    "RPUSH source 1 2 3",
    "BLMOVE source target LEFT RIGHT 1",
    "BLPOP source 1",
    "SORT target STORE sorted",
    "SET gone v PXAT 1",
    "EXISTS gone", // it goes away when somebody looks
    "RESTORE restored 0 \"\\x00\\xc0\\x05\\x0a\\x00\\x9c\\xb7\\x28\\xa9\\x43\\x6e\\x5d\\x4b\" REPLACE",
    "XADD auto * f v",
    "XADD auto MAXLEN ~ 10 * f v",
    "EVAL \"redis.call('SET', KEYS[1], 'a'); redis.call('INCR', KEYS[2]); return 1\" 2 one counted",
    "EVAL \"redis.call('SET', KEYS[1], 'b') return 1\" 1 one",
    "MULTI",
    "SET in-transaction 1",
    "SELECT 4",
    "SET in-transaction 2",
    "SELECT 0",
    "INCR in-transaction",
    "EXEC",
    "FUNCTION LOAD REPLACE \"#!lua name=writes\\nredis.register_function('w', function(k) redis.call('SET', k[1], 'by function') end)\"",
    "FCALL w 1 written",
    "FUNCTION LOAD \"#!lua name=dropped\\nredis.register_function('d', function(k) return 1 end)\"",
    "FUNCTION DELETE dropped",
    "SELECT 11",
    "SET lost 1",
    "FLUSHDB",
    "SET kept 1",
    "SELECT 12",
    "SET swapped 1",
    "SWAPDB 12 13",
    "MOVE nothing 5",
    "SET moved 1",
    "MOVE moved 5",
    "COPY moved copied DB 5",
    "SELECT 0",
    "PFADD hll x y z",
    "SETRANGE raw 5 hello",
    "BITFIELD bits SET u8 0 200",
    "GEOADD geo 1 1 a",
    "GEOSEARCHSTORE near geo FROMLONLAT 1 1 BYRADIUS 10 km",
    "RENAME near far",
];

/// Keys of every kind: small ones, large ones, and what stands on the borders.
pub fn every_encoding() -> Vec<Vec<Vec<u8>>> {
    let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut add = |words: Vec<Vec<u8>>| commands.push(words);
    let words = |line: &str| line.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
    for line in [
        "SET int 12345",
        "SET big -9223372036854775808",
        "SET small -128",
        "SET text hello",
        "SET nearly 0012",
        "APPEND raw abc",
        "RPUSH short a 1 -1 127 128 4095 4096 -32768 8388607 -8388609 2147483647 9223372036854775807 01",
        "SADD two 1 -2 3",
        "SADD four 100000 -5",
        "SADD eight 10000000000 -5",
        "SADD names a b 1",
        "HSET hash f 1 g text 7 -3",
        "ZADD zset 1 a -2.5 b 1e300 c inf d -inf e 0.1 f 3 7",
        "SETBIT bits 100 1",
        "PFADD hll a b c d e",
        "XADD stream 1-1 f v g 1",
        "XADD stream 1-2 f w g 2",
        "XADD stream 5-0 other field",
        "XDEL stream 1-2",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group alice COUNT 1 STREAMS stream >",
        "XGROUP CREATE stream idle $",
        "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    ] {
        add(words(line));
    }
    let long = |len: usize| (0..len).map(|i| (i * i % 251) as u8).collect::<Vec<u8>>();
    for len in [20, 21, 44, 45, 63, 64, 300, 2048, 2049, 70_000] {
        add(vec![
            b"SET".to_vec(),
            format!("same:{len}").into_bytes(),
            vec![b'x'; len],
        ]);
        add(vec![
            b"SET".to_vec(),
            format!("noise:{len}").into_bytes(),
            long(len),
        ]);
        add(vec![
            b"RPUSH".to_vec(),
            format!("list:{len}").into_bytes(),
            long(len),
            b"5".to_vec(),
            vec![b'y'; len],
        ]);
        add(vec![
            b"SADD".to_vec(),
            format!("set:{len}").into_bytes(),
            long(len),
            b"5".to_vec(),
        ]);
        add(vec![
            b"HSET".to_vec(),
            format!("hash:{len}").into_bytes(),
            long(len),
            vec![b'z'; len],
            b"5".to_vec(),
            b"6".to_vec(),
        ]);
        add(vec![
            b"ZADD".to_vec(),
            format!("zset:{len}").into_bytes(),
            b"1.5".to_vec(),
            long(len),
            b"2".to_vec(),
            b"5".to_vec(),
        ]);
    }
    for i in 0..1200 {
        let (name, number) = (
            format!("element number {i}").into_bytes(),
            (i * 7).to_string().into_bytes(),
        );
        add(vec![
            b"RPUSH".to_vec(),
            b"long".to_vec(),
            name.clone(),
            number.clone(),
        ]);
        add(vec![b"SADD".to_vec(), b"ints".to_vec(), number.clone()]);
        add(vec![b"SADD".to_vec(), b"table".to_vec(), name.clone()]);
        add(vec![
            b"HSET".to_vec(),
            b"map".to_vec(),
            name.clone(),
            number.clone(),
        ]);
        add(vec![b"ZADD".to_vec(), b"scores".to_vec(), number, name]);
    }
    commands
}

/// What stands on both sides of every border between encodings, and what files have a form of their own for: integers of
/// every size, texts that compress and that do not, binary keys, expiries, several databases, groups with consumers and
/// pending entries, libraries of functions. Times are far in the future or in the past of streams: nothing depends on
/// when it is sent. Needs 16 databases; ends in database 0.
pub fn borders() -> Vec<Vec<Vec<u8>>> {
    let mut commands = every_encoding();
    strings(&mut commands);
    collections(&mut commands);
    stream_groups(&mut commands);
    databases(&mut commands);
    commands
}

/// Keys with access clocks as RESTORE sets them: `clock` is `IDLETIME` or `FREQ`, `payload` a value from DUMP.
pub fn clocks(clock: &str, payload: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let values: &[u32] = match clock {
        "FREQ" => &[0, 1, 5, 99, 254, 255],
        _ => &[0, 1_500, 70_500, 2_000_500],
    };
    values
        .iter()
        .map(|value| {
            let (key, value) = (format!("{clock}:{value}"), value.to_string());
            let words: [&[u8]; 7] = [
                b"RESTORE",
                key.as_bytes(),
                b"9999999999999",
                payload,
                b"ABSTTL",
                clock.as_bytes(),
                value.as_bytes(),
            ];
            words.map(<[u8]>::to_vec).to_vec()
        })
        .collect()
}

fn command<A: AsRef<[u8]>>(words: &[A]) -> Vec<Vec<u8>> {
    words.iter().map(|w| w.as_ref().to_vec()).collect()
}

/// Bytes without order, so that nothing compresses them.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn strings(commands: &mut Vec<Vec<Vec<u8>>>) {
    let edges = [7_u32, 8, 11, 12, 13, 15, 16, 23, 24, 31, 32, 62, 63];
    for number in edges.iter().flat_map(|bits| {
        let edge = 1_i128 << bits;
        [edge - 1, edge, edge + 1, -edge - 1, -edge, 1 - edge]
    }) {
        commands.push(command(&[
            "SET",
            &format!("number:{number}"),
            &number.to_string(),
        ]));
    }
    for (i, text) in ["", "-0", "+1", " 1", "1 ", "00", "1e5", "0x10"]
        .iter()
        .enumerate()
    {
        commands.push(command(&["SET", &format!("nearly:{i}"), text]));
    }
    for key in [
        &b""[..],
        b"\0",
        b"\xff\xfe\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        "schlüssel".as_bytes(),
    ] {
        commands.push(command(&[b"SET", key, b"binary \0\r\n\xff"]));
        commands.push(command(&[b"PEXPIREAT", key, b"9999999999998"]));
    }
    commands.push(command(&[b"SET", &noise(9000)[..], b"a long key"]));
    for len in [62, 63, 64, 65, 16_382, 16_383, 16_384, 16_385, 300_000] {
        commands.push(command(&[b"SET", format!("noisy:{len}").as_bytes(), &noise(len)]));
        let half = [noise(len / 2), vec![b'-'; len - len / 2]].concat();
        commands.push(command(&[b"SET", format!("half:{len}").as_bytes(), &half]));
    }
}

fn collections(commands: &mut Vec<Vec<Vec<u8>>>) {
    // Around the limits of entries (128, 512) and of values (64).
    for count in [1, 127, 128, 129, 511, 512, 513] {
        for i in 0..count {
            let (member, number) = (format!("m{i}"), (i * i).to_string());
            let add = |name: &str, key: &str, rest: &[&str]| {
                let key = format!("{key}:n{count}");
                command(&[&[name, &key][..], rest].concat())
            };
            commands.extend([
                add("HSET", "hash", &[&member, &number]),
                add("ZADD", "zset", &[&number, &member]),
                add("SADD", "set", &[&member]),
                add("SADD", "ints", &[&number]),
                add("RPUSH", "list", &[&member, &number]),
            ]);
        }
    }
    for width in [15, 16, 31, 32] {
        let edge = 1_i64 << width;
        for number in [edge - 1, edge, -edge, -edge - 1] {
            let key = format!("width:{number}");
            commands.push(command(&["SADD", &key, "1", "2", &number.to_string()]));
        }
    }
    for len in [0, 1, 63, 64, 65, 253, 254, 255, 4095, 4096, 8191, 8192] {
        let (text, key) = (noise(len), |kind: &str| format!("{kind}:v{len}").into_bytes());
        commands.extend([
            command(&[b"HSET", &key("hash")[..], &text, b"value", b"field", &text]),
            command(&[b"ZADD", &key("zset")[..], b"-1.5", &text, b"1", b"other"]),
            command(&[b"SADD", &key("set")[..], &text, b"other"]),
            command(&[b"RPUSH", &key("list")[..], &text, b"12", &text]),
            command(&[b"LPUSH", &key("list")[..], b"first"]),
        ]);
    }
    for score in [
        "0",
        "-0",
        "1e-320",
        "5e-324",
        "1.7976931348623157e308",
        "-inf",
        "+inf",
        "0.1",
        "3",
        "1e15",
        "1e17",
    ] {
        commands.push(command(&["ZADD", "scores:few", score, &format!("s{score}")]));
        commands.push(command(&["ZADD", "scores:many", score, &format!("s{score}")]));
    }
    for i in 0..200 {
        let score = (f64::from(i) / 7.0).to_string();
        commands.push(command(&["ZADD", "scores:many", &score, &format!("member {i}")]));
    }
    // Many nodes, some of one large element, with holes.
    for i in 0..300 {
        let element = noise(1 + i * 37 % 1000);
        commands.push(command(&[
            b"RPUSH",
            &b"nodes"[..],
            &element,
            i.to_string().as_bytes(),
        ]));
        if i % 50 == 0 {
            commands.push(command(&[b"LPUSH", &b"nodes"[..], &noise(20_000 + i)]));
        }
    }
    commands.push(command(&["LTRIM", "nodes", "3", "-3"]));
}

fn stream_groups(commands: &mut Vec<Vec<Vec<u8>>>) {
    let mut add = |line: &str| commands.push(line.split(' ').map(|w| w.as_bytes().to_vec()).collect());
    for i in 1..=350 {
        // The same fields, and others; ids with gaps.
        let fields = match i % 5 {
            0 => format!("other {i} field {}", i * 1000),
            _ => format!("name n{i} value {i}"),
        };
        add(&format!("XADD events {}-{} {fields}", 1_000_000 + i / 3, i % 3));
    }
    for i in [1, 2, 50, 51, 100, 350] {
        add(&format!("XDEL events {}-{}", 1_000_000 + i / 3, i % 3));
    }
    for line in [
        "XGROUP CREATE events all 0",
        "XGROUP CREATE events behind 1000050-1",
        "XGROUP CREATE events end $ ENTRIESREAD 200",
        "XGROUP CREATECONSUMER events all idle",
        "XREADGROUP GROUP all alice COUNT 20 STREAMS events >",
        "XREADGROUP GROUP all bob COUNT 30 STREAMS events >",
        "XREADGROUP GROUP behind carol NOACK COUNT 5 STREAMS events >",
        "XREADGROUP GROUP behind dave COUNT 7 STREAMS events >",
        "XACK events all 1000001-0 1000001-1 1000002-0",
        "XCLAIM events all bob 0 1000003-0 1000003-1 TIME 1700000000123 RETRYCOUNT 77",
        "XCLAIM events all erin 0 1000004-0 TIME 1700000000456 RETRYCOUNT 3 JUSTID",
        "XSETID events 2000000-5 ENTRIESADDED 1000 MAXDELETEDID 1999999-0",
        "XADD emptied 5-5 a b",
        "XGROUP CREATE emptied group 0",
        "XDEL emptied 5-5",
        "XGROUP CREATE fresh group $ MKSTREAM",
        "XADD trimmed 1-1 a b",
        "XADD trimmed 1-2 a c",
        "XADD trimmed 18446744073709551615-18446744073709551615 a d",
        "XTRIM trimmed MAXLEN 1",
    ] {
        add(line);
    }
    commands.push(command(&[
        b"XADD",
        &b"large"[..],
        b"7-7",
        b"field",
        &noise(5000),
        b"",
        b"",
    ]));
    commands.push(command(&[
        b"XADD",
        &b"large"[..],
        b"7-8",
        &noise(300),
        &vec![b'x'; 5000],
    ]));
}

fn databases(commands: &mut Vec<Vec<Vec<u8>>>) {
    for db in [1, 2, 9, 15] {
        commands.push(command(&["SELECT", &db.to_string()]));
        for i in 0..30 {
            let expiry = (9_999_999_000_000_u64 + i * 1001).to_string();
            commands.push(command(&[
                "SET",
                &format!("key:{i}"),
                &format!("of {db}"),
                "PXAT",
                &expiry,
            ]));
            commands.push(command(&[
                "SADD",
                &format!("members:{}", i % 4),
                &i.to_string(),
                "text",
            ]));
        }
        commands.push(command(&["PEXPIREAT", "members:0", "253402300799999"]));
    }
    commands.push(command(&["SELECT", "0"]));
    for (name, body) in [
        ("first", "return 1"),
        ("second", "return redis.call('GET', KEYS[1])"),
    ] {
        let flags = if name == "first" {
            ""
        } else {
            ", flags={'no-writes'}"
        };
        let code = format!(
            "#!lua name={name}\nredis.register_function{{function_name='{name}_f', callback=function(KEYS) {body} end, \
             description='of {name}'{flags}}}"
        );
        commands.push(command(&["FUNCTION", "LOAD", "REPLACE", &code]));
    }
}

/// Makes a key of every type and encoding.
///
/// # Errors
/// The server refuses one.
pub fn fill(client: &mut Client) -> Result<()> {
    for command in every_encoding() {
        let reply = client.call(&command)?;
        ensure!(!reply.is_error(), "{command:?}: {reply:?}");
    }
    Ok(())
}

/// Loads a library whose function `f` answers 42.
///
/// # Errors
/// The server refuses it.
pub fn load_library(client: &mut Client) -> Result<()> {
    let library = "#!lua name=lib\nredis.register_function('f', function() return 42 end)";
    let reply = client.call(&["FUNCTION", "LOAD", "REPLACE", library])?;
    ensure!(!reply.is_error(), "{reply:?}");
    Ok(())
}

/// Runs commands, a hundred in one write.
///
/// # Errors
/// The server refuses one.
pub fn send<A: AsRef<[u8]> + Debug>(client: &mut Client, commands: &[Vec<A>]) -> Result<()> {
    for chunk in commands.chunks(100) {
        for (reply, words) in client.pipeline(chunk)?.iter().zip(chunk) {
            ensure!(!reply.is_error(), "{words:?}: {reply:?}");
        }
    }
    Ok(())
}

/// Runs [`LOGGED_OTHERWISE`].
///
/// # Errors
/// The server refuses one; the payload of another version it may refuse.
pub fn send_logged_otherwise(client: &mut Client) -> Result<()> {
    for line in LOGGED_OTHERWISE {
        let reply = client.command(line)?;
        ensure!(
            !reply.is_error() || line.starts_with("RESTORE"),
            "{line}: {reply:?}"
        );
    }
    Ok(())
}
