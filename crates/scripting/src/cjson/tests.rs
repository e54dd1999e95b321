use std::sync::Arc;

use super::Settings;
use crate::lua_testing::{check, eval, lua, lua_with};

#[test]
fn values() {
    check(
        "cjson.encode({1, 2.5, 'x', true, cjson.null, {a = {}}})",
        r#""[1,2.5,"x",true,null,{"a":{}}]""#,
    );
    check(
        r#"cjson.decode('[1,2.5,"x",true,{"a":[]}]')"#,
        r#"{1=1,2=2.5,3="x",4=true,5={"a"={}}}"#,
    );
    check("cjson.decode('null') == cjson.null", "true");
    check(
        "cjson.encode({[1] = 1, [2] = 2, x = 3})",
        r#""{"1":1,"2":2,"x":3}""#,
    );
    check(r#"cjson.decode('{"a":null,"a":2}').a"#, "2");
}

#[test]
fn strings() {
    check(
        "cjson.encode('a/b\\\\\"\\127\\128\\0\\8\\9\\10\\12\\13\\31')",
        r#"""a\/b\\\"\u007f\x80\u0000\b\t\n\f\r\u001f"""#,
    );
    check(
        r#"cjson.decode('"\\u00e9\\ud83d\\ude00\\n"')"#,
        r#""\xc3\xa9\xf0\x9f\x98\x80\x0a""#,
    );
    let escape = "! user_script:1: Expected value but found invalid unicode escape code at character 2";
    check(r#"cjson.decode('"\\ud800"')"#, escape);
    check(r#"cjson.decode('"\\udc00"')"#, escape);
    check(r#"cjson.decode('"\\u12"')"#, escape);
}

#[test]
fn errors_name_the_place() {
    let expected = |what: &str, found: &str, at: usize| {
        format!("! user_script:1: Expected {what} but found {found} at character {at}")
    };
    check("cjson.decode('')", &expected("value", "T_END", 1));
    check("cjson.decode('[1,]')", &expected("value", "T_ARR_END", 4));
    check(
        "cjson.decode('[1 2]')",
        &expected("comma or array end", "T_NUMBER", 4),
    );
    check(
        "cjson.decode('{1:2}')",
        &expected("object key string", "T_NUMBER", 2),
    );
    check(r#"cjson.decode('{"a"}')"#, &expected("colon", "T_OBJ_END", 5));
    check(
        r#"cjson.decode('{"a":1 "b"}')"#,
        &expected("comma or object end", "T_STRING", 8),
    );
    check("cjson.decode('{}x')", &expected("the end", "invalid token", 3));
    check(
        "cjson.decode('\"abc')",
        &expected("value", "unexpected end of string", 5),
    );
    check(
        "select(2, pcall(cjson.decode, 'x'))",
        r#""Expected value but found invalid token at character 1""#,
    );
}

#[test]
fn numbers_beyond_json() {
    check(
        "cjson.decode('[0x10,nan,-inf,+1,010]')",
        "{1=16,2=nan,3=-inf,4=1,5=10}",
    );
    let strict = |text: &str| {
        format!(
            "(function() local c = cjson.new() c.decode_invalid_numbers(false) return c.decode('{text}') end)()"
        )
    };
    let invalid = "! user_script:1: Expected value but found invalid number at character 1";
    check(&strict("0x10"), invalid);
    check(&strict("010"), invalid);
    check(&strict("-nan"), invalid);
    check(
        "cjson.encode(1/0)",
        "! user_script:1: Cannot serialise number: must not be NaN or Inf",
    );
    check(
        "(function() local c = cjson.new() c.encode_invalid_numbers('null') return c.encode({0/0}) end)()",
        r#""[null]""#,
    );
}

#[test]
fn sparse_arrays() {
    check("cjson.encode({[3] = 1})", r#""[null,null,1]""#);
    check(
        "cjson.encode({[11] = 1})",
        "! user_script:1: Cannot serialise table: excessively sparse array",
    );
    check(
        "cjson.encode({[2^31 - 1] = 1})",
        "! user_script:1: Cannot serialise table: excessively sparse array",
    );
    check("cjson.encode({[2^31] = 1})", r#""{"2147483648":1}""#);
    check(
        "(function() local c = cjson.new() c.encode_sparse_array(true) return c.encode({[100] = 1}) end)()",
        r#""{"100":1}""#,
    );
}

#[test]
fn endless_output_is_refused() {
    check(
        "(function() local t = {} for i = 1, 40 do t = {t, t} end return cjson.encode(t) end)()",
        "! user_script:1: Cannot serialise, more than 4194304 bytes",
    );
}

#[test]
fn nesting() {
    check(
        "cjson.encode((function() local t = {} t[1] = t return t end)())",
        "! user_script:1: Cannot serialise, excessive nesting (1001)",
    );
    check(
        "cjson.decode(string.rep('[', 1000000))",
        "! user_script:1: Found too many nested data structures (1001) at character 1001",
    );
    let deep = |keep: &str| {
        format!(
            "(function() local c = cjson.new() c.encode_max_depth(2^31 - 1) c.decode_max_depth(2^31 - 1)
             local t = {{}} for i = 1, 100000 do t = {{{keep}}} end return c.encode(t) end)()"
        )
        .replace('\n', " ")
    };
    check(
        &deep("t"),
        "! user_script:1: Cannot serialise, excessive nesting (3001)",
    );
    check(
        &deep("a = t"),
        "! user_script:1: Cannot serialise, excessive nesting (3001)",
    );
    check(
        "(function() local c = cjson.new() c.decode_max_depth(2^31 - 1) return c.decode(string.rep('[', 1e6)) end)()",
        "! user_script:1: Found too many nested data structures (6001) at character 6001",
    );
    check(
        "#cjson.encode(cjson.decode(string.rep('[', 1000) .. string.rep(']', 1000)))",
        "2000",
    );
}

#[test]
fn settings_are_checked() {
    check(
        "cjson.encode_max_depth(0)",
        "! user_script:1: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)",
    );
    check(
        "cjson.encode_keep_buffer('x')",
        "! user_script:1: bad argument #1 to 'encode_keep_buffer' (invalid option 'x')",
    );
    check(
        "cjson.encode_sparse_array(false, 2, 10, 4)",
        "! user_script:1: bad argument #4 to 'encode_sparse_array' (found too many arguments)",
    );
    check("cjson.encode_sparse_array('on', 1, '2')", "true 1 2");
    check("cjson.encode_invalid_numbers('null')", "\"null\"");
}

#[test]
fn new_libraries_have_settings_of_their_own() {
    check(
        "(function() local c = cjson.new() c.encode_max_depth(2) return c.encode_max_depth(), cjson.encode_max_depth() end)()",
        "2 1000",
    );
    check("cjson.new().new().encode({1, {a = {}}})", r#""[1,{"a":{}}]""#);
}

#[test]
fn several_luas_can_share_settings() {
    let shared = Arc::new(Settings::default());
    let with_shared = || {
        let lua = mlua::Lua::new();
        lua.set_app_data(Arc::clone(&shared));
        lua_with(lua)
    };
    assert_eq!(eval(&with_shared(), "cjson.encode_max_depth(5)"), "5");
    assert_eq!(eval(&with_shared(), "cjson.encode_max_depth()"), "5");
    assert_eq!(eval(&lua(), "cjson.encode_max_depth()"), "1000");
}
