//! Texts beside those of C, and the properties that fix them.

use proptest::prelude::*;

use super::*;

fn text(value: f64) -> String {
    let mut out = b"x".to_vec();
    format_double(value, &mut out);
    String::from_utf8(out).unwrap()[1..].to_owned()
}

/// What `printf("%.17g")` prints.
#[expect(clippy::excessive_precision, reason = "written as a client may send them")]
const PRINTF: &[(f64, &str)] = &[
    (0.0, "0"),
    (-0.0, "-0"),
    (1.0, "1"),
    (-17.0, "-17"),
    (0.1, "0.10000000000000001"),
    (0.2, "0.20000000000000001"),
    (0.3, "0.29999999999999999"),
    (1.5, "1.5"),
    (-1.5, "-1.5"),
    (7.141, "7.141"),
    (2.5e-5, "2.5000000000000001e-05"),
    (1e-4, "0.0001"),
    (1e-5, "1.0000000000000001e-05"),
    (9.9999999999999995e-5, "9.9999999999999991e-05"),
    (0.00012345, "0.00012344999999999999"),
    (123456.789, "123456.789"),
    (1e15, "1000000000000000"),
    (1e16, "10000000000000000"),
    (1e17, "1e+17"),
    (1.5e17, "1.5e+17"),
    (99999999999999990.0, "99999999999999984"),
    (123456789012345678.0, "1.2345678901234568e+17"),
    (4503599627370497.5, "4503599627370498"),
    (9007199254740993.0, "9007199254740992"),
    (1e21, "1e+21"),
    (1e22, "1e+22"),
    (1e23, "9.9999999999999992e+22"),
    (1e100, "1e+100"),
    (1.7976931348623157e308, "1.7976931348623157e+308"),
    (2.2250738585072014e-308, "2.2250738585072014e-308"),
    (5e-324, "4.9406564584124654e-324"),
    (-5e-324, "-4.9406564584124654e-324"),
    (1e-7, "9.9999999999999995e-08"),
    (-1.5e-7, "-1.4999999999999999e-07"),
    (0.30000000000000004, "0.30000000000000004"),
    (1234567890.123, "1234567890.1229999"),
    (3.0000000000000004, "3.0000000000000004"),
    (12345678901234567.0, "12345678901234568"),
    (0.5, "0.5"),
    (0.25, "0.25"),
    (0.1875, "0.1875"),
    (100.75, "100.75"),
    (99999999999999.99, "99999999999999.984"),
    (8.5e15, "8500000000000000"),
    (1.1e16, "11000000000000000"),
    (2.98023223876953125e-08, "2.9802322387695312e-08"),
    (8.94069671630859375e-08, "8.9406967163085938e-08"),
    (1125899906842624.125, "1125899906842624"),
    (1125899906842624.375, "1125899906842624.5"),
    (562949953421312.0625, "562949953421312"),
    (0.0001220703125, "0.0001220703125"),
    (0.00006103515625, "6.103515625e-05"),
    (f64::INFINITY, "inf"),
    (f64::NEG_INFINITY, "-inf"),
    (f64::NAN, "nan"),
];

#[test]
fn doubles_as_printf_writes_them() {
    for (value, expected) in PRINTF {
        assert_eq!(text(*value), *expected);
    }
}

#[test]
fn integers_are_canonical() {
    for value in [
        0,
        1,
        -1,
        9,
        10,
        42,
        i64::MAX,
        i64::MIN,
        i64::MAX - 1,
        i64::MIN + 1,
    ] {
        assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
    }
    for text in [
        "",
        "-",
        "-0",
        "+1",
        "01",
        "-01",
        " 1",
        "1 ",
        "1a",
        "a",
        "--1",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999",
        "1\n",
        "\u{661}",
    ] {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
    }
}

/// The text with 17 significant digits that core's formatter gives, laid out anew by the rules of `%g`.
fn by_core(value: f64) -> String {
    let scientific = format!("{value:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap();
    let exponent = exponent.parse::<i32>().unwrap();
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        return trim(&format!("{value:.*}", (16 - exponent) as usize));
    }
    format!(
        "{}e{}{:02}",
        trim(mantissa),
        if exponent < 0 { '-' } else { '+' },
        exponent.abs()
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_double(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(text(value), by_core(value));
        prop_assert_eq!(text(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
    }

    #[test]
    fn everyday_doubles(mantissa in -(1i64 << 53)..1 << 53, shift in 0i32..70, decimals in 0i32..20, small in -1_000_000i64..1_000_000) {
        for value in [mantissa as f64 * 2f64.powi(-shift), mantissa as f64 / 10f64.powi(decimals),
            small as f64 * 2f64.powi(-shift), small as f64 / 10f64.powi(decimals)]
        {
            prop_assert_eq!(text(value), by_core(value));
        }
    }

    #[test]
    fn integers_read_as_std_reads_them(value: i64, text in "-?[0-9]{0,21}") {
        prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        let canonical = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
        prop_assert_eq!(parse_i64(text.as_bytes()), canonical);
    }
}
