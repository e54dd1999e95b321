//! Random calls of the libraries, valid and broken ones.

use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};

/// A call of one of the functions.
pub(super) fn expression(rng: &mut SmallRng) -> String {
    match rng.random_range(0..10) {
        0 => format!("cjson.encode({})", value(rng, 3)),
        1 => format!("cjson.decode({})", literal(&json(rng, 3))),
        2 => format!("cjson.decode({})", literal(&broken(rng, json))),
        3 => format!("cjson.decode({})", literal(&number_text(rng))),
        4 => format!("cmsgpack.pack({})", values(rng)),
        5 => format!("cmsgpack.unpack(cmsgpack.pack({}))", values(rng)),
        6 => format!("cmsgpack.{}", unpack_call(rng)),
        7 => format!("struct.pack({}, {})", literal(&format(rng)), values(rng)),
        8 => struct_call(rng),
        _ => bit_call(rng),
    }
}

fn pick<T: Clone>(rng: &mut SmallRng, from: &[T]) -> T {
    from.choose(rng).expect("not empty").clone()
}

/// Bytes as a Lua string.
fn literal(bytes: &[u8]) -> String {
    let mut text = String::from("'");
    for byte in bytes {
        text.push_str(&format!("\\{byte:03}"));
    }
    text + "'"
}

fn values(rng: &mut SmallRng) -> String {
    let all: Vec<String> = (0..rng.random_range(1..6)).map(|_| value(rng, 2)).collect();
    all.join(", ")
}

fn value(rng: &mut SmallRng, depth: u32) -> String {
    let kinds = if depth == 0 { 6 } else { 9 };
    match rng.random_range(0..kinds) {
        0 => number(rng),
        1 => literal(&text(rng)),
        2 => pick(rng, &["true", "false"]).into(),
        3 => pick(rng, &["nil", "cjson.null"]).into(),
        4 | 5 => rng.random_range(-300..300).to_string(),
        6 => {
            let all: Vec<String> = (0..rng.random_range(0..5))
                .map(|_| value(rng, depth - 1))
                .collect();
            format!("{{{}}}", all.join(", "))
        }
        _ => {
            let key = |rng: &mut SmallRng| match rng.random_range(0..4) {
                0 => rng.random_range(-2..25).to_string(),
                1 => pick(rng, &["1.5", "2^31", "2^31-1", "2^32", "1e300", "true", "-1e15"]).into(),
                // Redis's Lua hashes all bytes of a long string, ours every other: tables come in other orders.
                _ => literal(text(rng).get(..8).unwrap_or_default()),
            };
            let pair = |rng: &mut SmallRng| format!("[{}] = {}", key(rng), value(rng, depth - 1));
            let all: Vec<String> = (0..rng.random_range(1..5)).map(|_| pair(rng)).collect();
            format!("{{{}}}", all.join(", "))
        }
    }
}

fn number(rng: &mut SmallRng) -> String {
    match rng.random_range(0..6) {
        0 => format!("{:e}", f64::from_bits(rng.random())).replace("NaN", "0/0"),
        1 => format!("{:e}", rng.random_range(-1e6..1e6)),
        2 => format!(
            "{}2^{}",
            pick(rng, &["", "-", "1+", "-1-"]),
            rng.random_range(0..70)
        ),
        3 => rng.random::<i32>().to_string(),
        4 => format!("{}.5", rng.random_range(-1000..1000)),
        _ => pick(
            rng,
            &[
                "0",
                "-0",
                "1/0",
                "-1/0",
                "0.1",
                "1e-5",
                "123456789012345",
                "1e14",
                "99999999999999.5",
            ],
        )
        .into(),
    }
    .replace("inf", "1/0")
}

fn text(rng: &mut SmallRng) -> Vec<u8> {
    let len = pick(rng, &[0, 1, 3, 8, 33]);
    (0..len)
        .map(|_| {
            if rng.random_ratio(1, 3) {
                rng.random()
            } else {
                pick(rng, b"abc019 /\\\"\n\x7f")
            }
        })
        .collect()
}

fn json(rng: &mut SmallRng, depth: u32) -> Vec<u8> {
    let kinds = if depth == 0 { 4 } else { 6 };
    match rng.random_range(0..kinds) {
        0 => number_text(rng),
        1 => json_string(rng),
        2 => pick(rng, &["true", "false", "null", " null ", "{}", "[\t]"]).into(),
        3 => rng.random_range(-99..999).to_string().into(),
        4 => {
            let all: Vec<Vec<u8>> = (0..rng.random_range(0..4))
                .map(|_| json(rng, depth - 1))
                .collect();
            [b"[".to_vec(), all.join(&b","[..]), b"]".to_vec()].concat()
        }
        _ => {
            let pair = |rng: &mut SmallRng| [json_string(rng), json(rng, depth - 1)].join(&b": "[..]);
            let all: Vec<Vec<u8>> = (0..rng.random_range(0..4)).map(|_| pair(rng)).collect();
            [b"{".to_vec(), all.join(&b", "[..]), b"}".to_vec()].concat()
        }
    }
}

fn json_string(rng: &mut SmallRng) -> Vec<u8> {
    let piece = |rng: &mut SmallRng| -> Vec<u8> {
        match rng.random_range(0..5) {
            0 => format!("\\u{:04x}", rng.random::<u16>()).into(),
            1 => pick(
                rng,
                &[
                    "\\ud83d\\ude00",
                    "\\u0000",
                    "\\n",
                    "\\/",
                    "\\\\",
                    "\\\"",
                    "\\b",
                    "\\x",
                ],
            )
            .into(),
            2 => vec![rng.random_range(0x20..=0xff)],
            _ => pick(rng, &["a", "bc", "key"]).into(),
        }
    };
    let all: Vec<Vec<u8>> = (0..rng.random_range(0..4)).map(|_| piece(rng)).collect();
    [b"\"".to_vec(), all.concat(), b"\"".to_vec()].concat()
}

fn number_text(rng: &mut SmallRng) -> Vec<u8> {
    let pieces = [
        "0",
        "1",
        "9",
        "12",
        "345",
        "00",
        "7",
        ".",
        "-",
        "+",
        "e",
        "E",
        "e5",
        "e-3",
        "0x",
        "p3",
        "f",
        "p-1070",
        "a",
        "inf",
        "nan",
        "inity",
        "8765432109876543210",
        "e30",
        "0x.",
    ];
    (0..rng.random_range(1..5))
        .flat_map(|_| pick(rng, &pieces).bytes())
        .collect()
}

/// The text with a few bytes changed, taken away or added.
fn broken(rng: &mut SmallRng, make: fn(&mut SmallRng, u32) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = make(rng, 3);
    for _ in 0..rng.random_range(1..3) {
        let place = rng.random_range(0..=bytes.len());
        match rng.random_range(0..3) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, pick(rng, b"[]{},:\"\\u 019.-+eExnifst\0\xff")),
            _ => {
                if place < bytes.len() {
                    bytes.remove(place);
                }
            }
        }
    }
    bytes
}

fn unpack_call(rng: &mut SmallRng) -> String {
    let tags = [
        0x01, 0x80, 0x81, 0x82, 0x90, 0x91, 0x93, 0xa0, 0xa2, 0xc0, 0xc2, 0xc3, 0xca, 0xcb, 0xcc, 0xcd, 0xce,
        0xcf, 0xd0, 0xd1, 0xd2, 0xd3, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff, 0, 0, 0, 0, 1, 2,
    ];
    let len = rng.random_range(0..24);
    let bytes: Vec<u8> = (0..len)
        .map(|_| {
            if rng.random_ratio(1, 8) {
                rng.random()
            } else {
                pick(rng, &tags)
            }
        })
        .collect();
    let bytes = literal(&bytes);
    match rng.random_range(0..4) {
        0 => format!("unpack_one({bytes}, {})", rng.random_range(-1..6)),
        1 => format!(
            "unpack_limit({bytes}, {}, {})",
            rng.random_range(-1..6),
            rng.random_range(0..6)
        ),
        _ => format!("unpack({bytes})"),
    }
}

fn format(rng: &mut SmallRng) -> Vec<u8> {
    let options = [
        "b",
        "B",
        "h",
        "H",
        "i",
        "I",
        "l",
        "L",
        "T",
        "f",
        "d",
        "s",
        "x",
        "c",
        "c0",
        "c2",
        "c5",
        "i1",
        "I3",
        "i7",
        "I12",
        "i32",
        "i33",
        "i0",
        "!",
        "!2",
        "!4",
        "!8",
        "!3",
        ">",
        "<",
        " ",
        "z",
        "c99999999999",
        "I8",
        "i9",
        "i16",
    ];
    (0..rng.random_range(0..6))
        .flat_map(|_| pick(rng, &options).bytes())
        .collect()
}

fn struct_call(rng: &mut SmallRng) -> String {
    let format = literal(&format(rng));
    if rng.random_ratio(1, 4) {
        return format!("struct.size({format})");
    }
    let len = rng.random_range(0..48);
    let data: Vec<u8> = (0..len)
        .map(|_| {
            if rng.random() {
                rng.random()
            } else {
                pick(rng, b"\0\x01\x02\x05ab")
            }
        })
        .collect();
    let position = pick(rng, &["", ", 1", ", 2", ", 0", ", -3", ", 40"]);
    format!("struct.unpack({format}, {}{position})", literal(&data))
}

fn bit_call(rng: &mut SmallRng) -> String {
    let functions = [
        "tobit", "tohex", "bnot", "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "bswap",
    ];
    let all: Vec<String> = (0..rng.random_range(0..4)).map(|_| number(rng)).collect();
    format!("bit.{}({})", pick(rng, &functions), all.join(", "))
}
