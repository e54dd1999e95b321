use crate::lua_testing::check;

#[test]
fn the_shortest_integers() {
    check(
        "cmsgpack.pack(0, 127, 128, 256, 65536, 2^32)",
        r#""\x00\x7f\xcc\x80\xcd\x01\x00\xce\x00\x01\x00\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00""#,
    );
    check(
        "cmsgpack.pack(-1, -32, -33, -129)",
        r#""\xff\xe0\xd0\xdf\xd1\xff\x7f""#,
    );
    check("cmsgpack.pack(2^63)", r#""\xca_\x00\x00\x00""#);
    check(
        "cmsgpack.pack(-2^63)",
        r#""\xd3\x80\x00\x00\x00\x00\x00\x00\x00""#,
    );
}

#[test]
fn floats_take_four_bytes_if_those_hold_them() {
    check("cmsgpack.pack(1.5)", r#""\xca?\xc0\x00\x00""#);
    check("cmsgpack.pack(0.1)", r#""\xcb?\xb9\x99\x99\x99\x99\x99\x9a""#);
}

#[test]
fn tables() {
    check("cmsgpack.pack({1, 2, {}})", r#""\x93\x01\x02\x90""#);
    check("cmsgpack.pack({a = true})", r#""\x81\xa1a\xc3""#);
    check("cmsgpack.pack({1, nil, 3})", r#""\x82\x01\x01\x03\x03""#);
    check(
        "cmsgpack.unpack(cmsgpack.pack({a = {1, {b = 'c'}}}, 'x', nil))",
        r#"{"a"={1=1,2={"b"="c"}}} "x" nil"#,
    );
}

#[test]
fn tables_in_themselves_end_at_sixteen() {
    let written = format!("\"{}\\xc0\"", "\\x91".repeat(16));
    check(
        "(function() local t = {} t[1] = t return cmsgpack.pack(t) end)()",
        &written,
    );
}

#[test]
fn headers_of_long_values() {
    check("cmsgpack.pack(string.rep('a', 31)):byte(1)", "191");
    check("cmsgpack.pack(string.rep('a', 32)):sub(1, 2)", r#""\xd9 ""#);
    check(
        "cmsgpack.pack(string.rep('a', 256)):sub(1, 3)",
        r#""\xda\x01\x00""#,
    );
    check(
        "cmsgpack.pack(string.rep('a', 65536)):sub(1, 5)",
        r#""\xdb\x00\x01\x00\x00""#,
    );
    check(
        "cmsgpack.pack({cmsgpack.unpack(string.rep('\\1', 16))}):sub(1, 3)",
        r#""\xdc\x00\x10""#,
    );
}

#[test]
fn parts_of_the_input() {
    check("cmsgpack.unpack_one('\\1\\2\\3', 1)", "2 2");
    check("cmsgpack.unpack_one('\\1\\2\\3', 2)", "-1 3");
    check("cmsgpack.unpack_limit('\\1\\2\\3', 2)", "2 1 2");
    check("cmsgpack.unpack_limit('\\1\\2\\3', 0, 1)", "1");
    check(
        "cmsgpack.unpack_one('\\1', 2)",
        "! user_script:1: Start offset 2 greater than input length 1.",
    );
    check(
        "cmsgpack.unpack_limit('\\1', -1)",
        "! user_script:1: Invalid request to unpack with offset of 0 and limit of 1.",
    );
}

#[test]
fn broken_input() {
    let missing = "! user_script:1: Missing bytes in input.";
    check("cmsgpack.unpack('\\163ab')", missing);
    check("cmsgpack.unpack('\\205\\1')", missing);
    check("cmsgpack.unpack('\\146\\1')", missing);
    check(
        "cmsgpack.unpack('\\193')",
        "! user_script:1: Bad data format in input.",
    );
    check(
        "cmsgpack.unpack('\\196\\1a')",
        "! user_script:1: Bad data format in input.",
    );
    check("cmsgpack.unpack('\\129\\192\\1')", "! table index is nil");
    check(
        "cmsgpack.unpack('\\129\\203\\127\\248\\0\\0\\0\\0\\0\\0\\1')",
        "! table index is NaN",
    );
}

#[test]
fn announced_sizes_take_no_memory() {
    let missing = "! user_script:1: Missing bytes in input.";
    check("cmsgpack.unpack('\\221\\255\\255\\255\\255\\1')", missing);
    check("cmsgpack.unpack('\\223\\255\\255\\255\\255\\1')", missing);
    check("cmsgpack.unpack('\\219\\255\\255\\255\\255a')", missing);
}

#[test]
fn hostile_nesting_and_width() {
    check(
        "cmsgpack.unpack(string.rep('\\145', 100000))",
        "! user_script:1: stack overflow (in function mp_decode_to_lua_array)",
    );
    let too_many = "! user_script:1: stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";
    check("cmsgpack.unpack(string.rep('\\1', 9000))", too_many);
    check("cmsgpack.unpack(string.rep('\\161a', 9000))", too_many);
    check(
        "(function() local t = {} for i = 1, 4001 do t[i] = 1 end return cmsgpack.pack(unpack(t)) end)()",
        "! user_script:1: bad argument #0 to 'pack' (Too many arguments for MessagePack pack.)",
    );
}

#[test]
fn arguments() {
    check(
        "cmsgpack.pack()",
        "! user_script:1: bad argument #0 to 'pack' (MessagePack pack needs input.)",
    );
    check(
        "cmsgpack.unpack({})",
        "! user_script:1: bad argument #1 to 'unpack' (string expected, got table)",
    );
    check(
        "select(2, pcall(cmsgpack.unpack))",
        "\"bad argument #1 to '?' (string expected, got no value)\"",
    );
}
