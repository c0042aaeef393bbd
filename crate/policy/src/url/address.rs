//! Address literals: IPv6 with or without a zone id (RFC 4007, RFC 6874), and the many spellings of IPv4.
//!
//! Only spelling is decided here; whether an address may be dialled is decided elsewhere, on the number.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::encode::{Allowed, escape};

/// An IPv6 literal in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal<'a> {
    /// The address as it was written.
    pub(crate) written: &'a str,
    /// The address.
    pub(crate) address: Ipv6Addr,
    /// The zone id without its `%`.
    pub(crate) zone: Option<&'a str>,
}

/// How a zone id is set off from the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Separator {
    /// As in a URL: `%25` (RFC 6874 §2), or the plain `%` that many write.
    Url,
    /// As the system writes it: always one `%`, and what follows is the zone.
    Plain,
}

impl<'a> Literal<'a> {
    /// Reads a literal without its brackets.
    pub(crate) fn read(text: &'a str, separator: Separator) -> Option<Self> {
        let (written, zone) = match text.find('%') {
            None => (text, None),
            Some(at) => (&text[..at], Some(zone(&text[at + 1..], separator)?)),
        };
        Some(Self { written, address: written.parse().ok()?, zone })
    }

    /// The literal, the address as it was written but in lower case; the zone id keeps its case, its escapes do not.
    pub(crate) fn normalised(&self) -> String {
        self.with_zone(self.written.to_ascii_lowercase())
    }

    /// The literal with the one spelling of its address (RFC 5952 §4).
    pub(crate) fn canonical(&self) -> String {
        self.with_zone(self.address.to_string())
    }

    fn with_zone(&self, mut address: String) -> String {
        if let Some(zone) = self.zone {
            address.push('%');
            push_upper_escapes(&mut address, zone);
        }
        address
    }
}

/// How a zone id has to be written after the `%` of a URL: one that begins with `25` would lose these two digits when it is
/// read again, so it gets the full separator before it.
pub(crate) fn printed_zone(host: &str) -> Option<(&str, &str)> {
    let (address, zone) = host.split_once('%')?;
    (host.starts_with('[') && zone.starts_with("25") && zone != "25]").then_some((address, zone))
}

/// What a host that is no IPv6 literal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It does not end in a number.
    Name,
    /// An IPv4 address.
    Address(Ipv4Addr),
    /// It ends in a number, but is no address: some resolver would make one of it.
    Neither,
}

/// Reads every spelling of an IPv4 address: decimal, octal and hexadecimal, one to four parts, as the host parser of the
/// WHATWG URL standard does.
pub(crate) fn ipv4(host: &str) -> Reading {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    let all_digits = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    if !all_digits && number(last).is_none() {
        return Reading::Name;
    }
    parts(host).map_or(Reading::Neither, Reading::Address)
}

/// Whether every part is a number, so that the name is left to whoever makes a pool.
pub(crate) fn looks_like_ipv4(host: &[u8]) -> bool {
    let mut parts = 0;
    host.split(|&b| b == b'.').all(|part| {
        parts += 1;
        let digits = match part {
            [b'0', b'x' | b'X', hex @ ..] => !hex.is_empty() && hex.iter().all(u8::is_ascii_hexdigit),
            decimal => !decimal.is_empty() && decimal.iter().all(u8::is_ascii_digit),
        };
        digits && parts <= 4
    })
}

/// Appends the text, its escapes in upper case.
pub(crate) fn push_upper_escapes(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let end = if escape(&rest.as_bytes()[at..]).is_some() { at + 3 } else { at + 1 };
        out.push_str(&rest[..at]);
        out.push_str(&rest[at..end].to_ascii_uppercase());
        rest = &rest[end..];
    }
    out.push_str(rest);
}

fn zone(after: &str, separator: Separator) -> Option<&str> {
    let zone = match after.strip_prefix("25") {
        Some(zone) if separator == Separator::Url && !zone.is_empty() => zone,
        _ => after,
    };
    let mut rest = zone.as_bytes();
    while let Some(&octet) = rest.first() {
        match escape(rest) {
            Some(_) => rest = &rest[3..],
            None if Allowed::UNRESERVED.holds(octet) => rest = &rest[1..],
            None => return None,
        }
    }
    (!zone.is_empty()).then_some(zone)
}

fn parts(host: &str) -> Option<Ipv4Addr> {
    let mut numbers = [0; 4];
    let mut count = 0;
    for part in host.split('.') {
        *numbers.get_mut(count)? = number(part)?;
        count += 1;
    }
    let (last, leading) = numbers[..count].split_last()?;
    if leading.iter().any(|&n| n > 255) || *last >= 1 << (8 * (5 - count)) {
        return None;
    }
    let high = leading.iter().zip([24, 16, 8]).fold(0, |sum, (n, shift)| sum | n << shift);
    u32::try_from(high | last).ok().map(Ipv4Addr::from)
}

/// One part; past 2^32 the value does not matter any more, so that it stays there.
fn number(part: &str) -> Option<u64> {
    let (digits, radix) = match part.as_bytes() {
        [] => return None,
        [b'0', b'x' | b'X', ..] => (&part[2..], 16),
        [b'0', _, ..] => (&part[1..], 8),
        _ => (part, 10),
    };
    digits.chars().try_fold(0_u64, |value, c| {
        let digit = c.to_digit(radix)?;
        Some((value * u64::from(radix) + u64::from(digit)).min(1 << 33))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // THR-512
    #[test]
    fn every_spelling_of_an_ipv4_address_is_one_number() {
        let local = Reading::Address(Ipv4Addr::LOCALHOST);
        for text in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "0177.0.0.01",
            "0x7f.0x0.0x0.0x1",
            "127.0.0.1.",
        ] {
            assert_eq!(ipv4(text), local, "{text}");
        }
        assert_eq!(ipv4("0"), Reading::Address(Ipv4Addr::UNSPECIFIED));
        assert_eq!(ipv4("0x"), Reading::Address(Ipv4Addr::UNSPECIFIED));
        assert_eq!(ipv4("4294967295"), Reading::Address(Ipv4Addr::BROADCAST));
        for text in [
            "256.256.256.256",
            "1.2.3.4.5",
            "4294967296",
            "1.2.3.256",
            "08",
            "a.1",
            "1..1",
            "a.0x1",
            "99999999999999999999999",
        ] {
            assert_eq!(ipv4(text), Reading::Neither, "{text}");
        }
        for text in ["a", "1.a", "1e3", "0xg", "", "1.2.3.4a", "example.com."] {
            assert_eq!(ipv4(text), Reading::Name, "{text}");
        }
    }

    // THR-512
    #[test]
    fn an_ipv6_literal_has_one_spelling_and_its_zone_stays() {
        let read = |text, separator| Literal::read(text, separator).map(|l| l.canonical());
        assert_eq!(read("1080:0:0:0:8:800:200C:417A", Separator::Url).unwrap(), "1080::8:800:200c:417a");
        assert_eq!(read("::FFFF:129.144.52.38", Separator::Url).unwrap(), "::ffff:129.144.52.38");
        assert_eq!(read("FE80::1%25En0", Separator::Url).unwrap(), "fe80::1%En0");
        assert_eq!(read("fe80::1%25251", Separator::Url).unwrap(), "fe80::1%251");
        assert_eq!(read("fe80::1%251", Separator::Plain).unwrap(), "fe80::1%251");
        assert_eq!(read("fe80::1%", Separator::Url), None);
        assert_eq!(read("fe80::1%a b", Separator::Url), None);
        assert_eq!(read("1::2::3", Separator::Url), None);
    }
}
