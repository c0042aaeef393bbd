//! A host, from the octets of an authority to the one spelling that pool keys, resolvers, TLS and the Host field share.
//!
//! What a *URL* may hold is decided here; what a *pool* may be made for is [`crate::origin`]'s, which is stricter.

use super::address::{Literal, Separator, looks_like_ipv4};
use super::encode::{Allowed, escape};
use super::idna;
use crate::error::{Error, Kind, quote, quote_text};

/// The parts of `host[:port]`, not yet judged.
pub(crate) struct HostPort<'a> {
    /// The host, with its brackets.
    pub(crate) host: &'a [u8],
    /// The port's value where it has digits.
    pub(crate) port: Option<u32>,
}

impl<'a> HostPort<'a> {
    /// Splits; `None` where it is no host or no port (RFC 3986 §3.2.2 and §3.2.3).
    pub(crate) fn split(text: &'a [u8]) -> Option<Self> {
        let end = if text.first() == Some(&b'[') {
            let end = text.iter().position(|&b| b == b']')? + 1;
            Literal::read(std::str::from_utf8(&text[1..end - 1]).ok()?, Separator::Url)?;
            end
        } else {
            let end = text.iter().position(|&b| b == b':').unwrap_or(text.len());
            if !is_reg_name_like(&text[..end]) {
                return None;
            }
            end
        };
        let (host, after) = text.split_at(end);
        let port = match after {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return None,
        };
        Some(Self { host, port })
    }
}

/// Refuses a space, a control character and DEL, which no scheme has in a host.
pub(crate) fn refuse_controls(host: &[u8]) -> Result<(), Error> {
    match host.iter().find(|&&b| b <= b' ' || b == 0x7F) {
        None => Ok(()),
        Some(&b) => Err(invalid(format!("Host '{}' contains invalid character '{}'", shown(host), quote(&[b])))),
    }
}

/// The host of an http or https URL, normalised; brackets stay.
pub(crate) fn normalise(host: &[u8]) -> Result<String, Error> {
    refuse_controls(host)?;
    let Ok(text) = std::str::from_utf8(host) else {
        let is_no_text = |label: &&[u8]| std::str::from_utf8(label).is_err();
        return Err(no_label(host.split(|&b| b == b'.').find(is_no_text).unwrap_or(host)));
    };
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let literal = Literal::read(inner, Separator::Url).ok_or_else(|| no_host(host))?;
        refuse_encoded_controls(literal.zone.unwrap_or_default().as_bytes(), host)?;
        return Ok(format!("[{}]", literal.normalised()));
    }
    if !is_reg_name_like(host) {
        return Err(no_host(host));
    }
    if looks_like_ipv4(host) {
        // Left as it was written: a pool, not a URL, says what the number is.
        return Ok(text.to_owned());
    }
    refuse_encoded_controls(host, host)?;
    name(&with_unreserved_decoded(text))
}

/// An error that says what could not be parsed.
pub(crate) fn invalid(message: impl AsRef<str>) -> Error {
    Error::new(Kind::InvalidUrl, format!("Failed to parse: {}", message.as_ref()))
}

/// The error for what is no host.
pub(crate) fn no_host(host: &[u8]) -> Error {
    invalid(format!("'{}' is not a valid host", shown(host)))
}

/// What stands before an `@` is user info, which no message shows.
fn shown(host: &[u8]) -> String {
    match host.iter().rposition(|&b| b == b'@') {
        None => quote_text(host),
        Some(at) => format!("…{}", quote_text(&host[at..])),
    }
}

fn no_label(label: &[u8]) -> Error {
    invalid(format!("Name '{}' is not a valid IDNA label", quote_text(label)))
}

fn name(host: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(host.len());
    for (at, label) in host.split('.').enumerate() {
        if at > 0 {
            out.push('.');
        }
        let start = out.len();
        if label.is_ascii() {
            push_lower(&mut out, label);
        } else {
            out.push_str(&idna::to_a_label(label).ok_or_else(|| no_label(label.as_bytes()))?);
        }
        if out[start..].starts_with("xn--") && !idna::is_a_label(&out[start..]) {
            return Err(no_label(label.as_bytes()));
        }
    }
    Ok(out)
}

/// Lower case, but upper case in escapes (RFC 3986 §6.2.2.1).
fn push_lower(out: &mut String, label: &str) {
    let mut escaped = 0;
    for octet in label.bytes() {
        if octet == b'%' {
            escaped = 3;
        }
        out.push(char::from(if escaped > 0 { octet.to_ascii_uppercase() } else { octet.to_ascii_lowercase() }));
        escaped = usize::saturating_sub(escaped, 1);
    }
}

/// RFC 3986 §6.2.2.2: an escape of an unreserved character is another spelling of it.
fn with_unreserved_decoded(host: &str) -> String {
    let mut out = String::with_capacity(host.len());
    let mut rest = host;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        match escape(&rest.as_bytes()[at..]) {
            Some(octet) if Allowed::UNRESERVED.holds(octet) => out.push(char::from(octet)),
            _ => out.push_str(&rest[at..at + 3]),
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    out
}

/// Refuses an escape of a control character: decoded anywhere further on, it would split a line.
pub(crate) fn refuse_encoded_controls(text: &[u8], host: &[u8]) -> Result<(), Error> {
    for at in (0..text.len()).filter(|&at| text[at] == b'%') {
        if escape(&text[at..]).is_some_and(|octet| octet < b' ' || octet == 0x7F) {
            let what = quote(&text[at..at + 3]);
            return Err(invalid(format!(
                "Host '{}' contains invalid percent-encoded control character '{what}'",
                quote_text(host)
            )));
        }
    }
    Ok(())
}

/// As a registered name, but with every octet that delimits nothing: names that are not ASCII are encoded later.
fn is_reg_name_like(host: &[u8]) -> bool {
    host.iter().enumerate().all(|(at, octet)| match octet {
        b'[' | b']' | b':' | b'/' | b'?' | b'#' => false,
        b'%' => escape(&host[at..]).is_some(),
        _ => true,
    })
}

fn port(digits: &[u8]) -> Option<u32> {
    let first = digits.iter().position(|&b| b != b'0').unwrap_or(digits.len());
    let significant = &digits[first..];
    if significant.len() > 5 || !significant.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(significant.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}
