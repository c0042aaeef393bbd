//! Percent-encoding (RFC 3986 §2): which octets each component may hold as they are, and how the others are written.
//!
//! A valid escape stays as it came: changing the case of its digits would break signatures made over the URL. Only a `%`
//! that begins no escape becomes `%25`. Works on octets, so that a lone surrogate's three bytes pass through it as well.

/// The ASCII octets that a component holds unencoded, one bit each.
#[derive(Clone, Copy)]
pub(crate) struct Allowed(u128);

impl Allowed {
    /// RFC 3986 §2.3.
    pub(crate) const UNRESERVED: Self = Self::of(ALPHANUMERIC).and(b"-._~");
    /// RFC 3986 §3.2.2: a registered name without its escapes.
    pub(crate) const REG_NAME: Self = Self::UNRESERVED.and(SUB_DELIMS);
    /// RFC 3986 §3.2.1.
    pub(crate) const USER_INFO: Self = Self::REG_NAME.and(b":");
    /// RFC 3986 §3.3.
    pub(crate) const PATH: Self = Self::USER_INFO.and(b"@/");
    /// RFC 3986 §3.4 and §3.5.
    pub(crate) const QUERY: Self = Self::PATH.and(b"?");

    const fn of(octets: &[u8]) -> Self {
        Self(0).and(octets)
    }

    const fn and(self, octets: &[u8]) -> Self {
        let mut bits = self.0;
        let mut at = 0;
        while at < octets.len() {
            bits |= 1 << octets[at];
            at += 1;
        }
        Self(bits)
    }

    /// Whether this octet stands for itself.
    pub(crate) const fn holds(self, octet: u8) -> bool {
        octet < 128 && self.0 >> octet & 1 == 1
    }
}

/// The length of the longest beginning that needs no change.
pub(crate) fn untouched(bytes: &[u8], allowed: Allowed) -> usize {
    let mut at = 0;
    while let Some(&octet) = bytes.get(at) {
        if allowed.holds(octet) {
            at += 1;
        } else if octet == b'%' && escape(&bytes[at..]).is_some() {
            at += 3;
        } else {
            break;
        }
    }
    at
}

/// Appends the component, encoded.
pub(crate) fn push(out: &mut String, bytes: &[u8], allowed: Allowed) {
    let mut rest = bytes;
    loop {
        let clean = untouched(rest, allowed);
        out.extend(rest[..clean].iter().map(|&octet| char::from(octet)));
        let Some(&octet) = rest.get(clean) else {
            return;
        };
        push_escape(out, octet);
        rest = &rest[clean + 1..];
    }
}

/// The component, encoded.
pub(crate) fn encode(bytes: &[u8], allowed: Allowed) -> String {
    let mut out = String::with_capacity(bytes.len());
    push(&mut out, bytes, allowed);
    out
}

/// Appends `%XX`, in upper case (RFC 3986 §2.1).
pub(crate) fn push_escape(out: &mut String, octet: u8) {
    out.push('%');
    out.push(HEX[usize::from(octet >> 4)]);
    out.push(HEX[usize::from(octet & 15)]);
}

/// The octet that an escape at the beginning stands for.
pub(crate) fn escape(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *bytes else {
        return None;
    };
    let digit = |octet: u8| char::from(octet).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// The text with its escapes decoded as UTF-8; what is none becomes U+FFFD.
pub(crate) fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let decoded = escape(&bytes[at..]);
        out.push(decoded.unwrap_or(bytes[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The text as it is, but for a lone surrogate, which no Rust string can hold: its bytes are escaped.
pub(crate) fn lossless(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for &octet in chunk.invalid() {
            push_escape(&mut out, octet);
        }
    }
    out
}

/// UTF-16 as JavaScript has it, as UTF-8 in which a lone surrogate keeps its three bytes.
pub(crate) fn from_utf16(units: &[u16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(units.len());
    let mut buffer = [0; 4];
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(c) => out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
            Err(lone) => {
                let unit = lone.unpaired_surrogate();
                out.extend([0xE0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3F) as u8, 0x80 | (unit & 0x3F) as u8]);
            }
        }
    }
    out
}

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const SUB_DELIMS: &[u8] = b"!$&'()*+,;=";
const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

#[cfg(test)]
mod tests {
    use super::*;

    // WART-04
    #[test]
    fn a_valid_escape_stays_and_only_a_stray_percent_sign_is_encoded() {
        for (text, expected) in [
            ("%2f%2F", "%2f%2F"),
            ("%41%", "%41%25"),
            ("%%20", "%25%20"),
            ("%zz%e4", "%25zz%e4"),
            ("%2", "%252"),
            ("ü%", "%C3%BC%25"),
        ] {
            assert_eq!(encode(text.as_bytes(), Allowed::PATH), expected, "{text}");
            assert_eq!(encode(expected.as_bytes(), Allowed::PATH), expected, "{text} again");
        }
    }

    #[test]
    fn a_lone_surrogate_keeps_its_three_bytes_and_a_pair_is_one_character() {
        assert_eq!(*from_utf16(&[0x61, 0xD800, 0x62]), *b"a\xED\xA0\x80b");
        assert_eq!(*from_utf16(&[0xDC80]), *b"\xED\xB2\x80");
        assert_eq!(*from_utf16(&[0xD83D, 0xDE00]), *"😀".as_bytes());
        assert_eq!(lossless(b"\xC3\xA9\xED\xA0\x80"), "é%ED%A0%80");
    }
}
