//! Data of every type and encoding, to be moved from one server to another.

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
