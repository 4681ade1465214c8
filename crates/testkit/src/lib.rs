//! Helpers for tests: octets written as hex text, shared by every crate.

pub mod x509;

/// The octets of `text`: pairs of hexadecimal digits, white space anywhere.
///
/// # Panics
/// On anything else: a test with a mistyped vector must fail.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "odd number of hexadecimal digits in {text:?}");
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("not hexadecimal: {pair:?}"))
        })
        .collect()
}

/// `octets` as hex text.
pub fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
