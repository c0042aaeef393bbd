//! From octets to a [`Url`]: where the parts of RFC 3986 begin and end, and which of them are normalised.
//!
//! Only http, https and the absent scheme are normalised; any other URL is taken apart and otherwise left alone.

use super::Url;
use super::encode::{Allowed, encode, lossless};
use super::host::{HostPort, invalid, no_host, normalise, refuse_controls};
use crate::error::{Error, quote_text};

/// Parses UTF-8 in which lone surrogates may stand as their three bytes.
pub(crate) fn parse(text: &[u8]) -> Result<Url, Error> {
    if text.is_empty() {
        return Ok(Url::default());
    }
    let parts = Parts::split(text);
    let scheme = parts.scheme.map(|scheme| String::from_utf8_lossy(scheme).to_ascii_lowercase());
    let normal = is_normal(scheme.as_deref());
    let write = |bytes: &[u8], allowed| {
        if normal { encode(bytes, allowed) } else { lossless(bytes) }
    };

    let mut url = Url { scheme, ..Url::default() };
    if let Some(authority) = parts.authority.filter(|authority| !authority.is_empty()) {
        let (auth, host_port) = match authority.iter().rposition(|&b| b == b'@') {
            None => (&[][..], authority),
            Some(at) => (&authority[..at], &authority[at + 1..]),
        };
        let Some(HostPort { host, port }) = HostPort::split(host_port) else {
            refuse_controls(host_port)?;
            return Err(no_host_or_port(host_port, &parts));
        };
        url.auth = (!auth.is_empty()).then(|| write(auth, Allowed::USER_INFO));
        url.port = match port.map(u16::try_from) {
            None => None,
            Some(Ok(port)) => Some(port),
            Some(Err(_)) => {
                let scheme = url.scheme.as_deref().map_or(String::new(), |scheme| format!("{scheme}:"));
                return Err(invalid(format!("{scheme}//{}", quote_text(host_port))));
            }
        };
        url.host = Some(if normal { normalise(host)? } else { as_written(host)? });
    }

    let path = if normal { &without_dot_segments(parts.path)[..] } else { parts.path };
    let path = write(path, Allowed::PATH);
    url.path = match path.as_str() {
        "" => (parts.query.is_some() || parts.fragment.is_some()).then(String::new),
        rooted if rooted.starts_with('/') => Some(path),
        _ => Some(format!("/{path}")),
    };
    url.query = parts.query.map(|query| write(query, Allowed::QUERY));
    url.fragment = parts.fragment.map(|fragment| write(fragment, Allowed::QUERY));
    Ok(url)
}

/// Whether URLs of this scheme are normalised; what others mean is not for us to know.
pub(crate) fn is_normal(scheme: Option<&str>) -> bool {
    matches!(scheme, None | Some("http" | "https"))
}

/// The length of a scheme and its colon, 0 without one. A scheme may hold a dot (RFC 3986 §3.1), but not here: `example.com:80`
/// is a host and its port.
pub(crate) fn scheme_length(text: &[u8]) -> usize {
    if !text.first().is_some_and(u8::is_ascii_alphabetic) {
        return 0;
    }
    let end = text.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-')));
    end.filter(|&end| text[end] == b':').map_or(0, |end| end + 1)
}

/// The components (RFC 3986 §3), undecoded.
struct Parts<'a> {
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: &'a [u8],
    query: Option<&'a [u8]>,
    fragment: Option<&'a [u8]>,
    /// Everything after the authority.
    after_authority: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(text: &'a [u8]) -> Self {
        let scheme_end = scheme_length(text);
        let scheme = (scheme_end > 0).then(|| &text[..scheme_end - 1]);
        let mut rest = &text[scheme_end..];
        let mut authority = None;
        let begins = match rest {
            [b'/', b'/', after @ ..] => Some(after),
            // Without a scheme and a slash it is read as an authority: `google.com/mail`.
            _ if scheme.is_none() && rest.first() != Some(&b'/') => Some(rest),
            _ => None,
        };
        if let Some(after) = begins {
            // The backslash ends it too: browsers read it as a slash, so that anything else would name two hosts.
            let end = after.iter().position(|b| matches!(b, b'/' | b'\\' | b'?' | b'#')).unwrap_or(after.len());
            authority = Some(&after[..end]);
            rest = &after[end..];
        }
        let after_authority = rest;
        let (rest, fragment) = cut(rest, b'#');
        let (path, query) = cut(rest, b'?');
        Self { scheme, authority, path, query, fragment, after_authority }
    }
}

/// RFC 3986 §5.2.4, segment by segment. A `..` that goes above the root takes the root with it, so that an empty segment
/// behind it becomes the root: `/..//x` is `/x`, as urllib3 has it.
fn without_dot_segments(path: &[u8]) -> Vec<u8> {
    let is_dots = |segment: &[u8]| matches!(segment, b"." | b"..");
    if !path.split(|&b| b == b'/').any(is_dots) {
        return path.to_vec();
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&b| b == b'/') {
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if path.first() == Some(&b'/') && kept.first().is_none_or(|first| !first.is_empty()) {
        kept.insert(0, b"");
    }
    if path.ends_with(b"/.") || path.ends_with(b"/..") {
        kept.push(b"");
    }
    kept.join(&b'/')
}

/// An `@` further on means that a password with an unescaped `/` was cut in two: then nothing of it is shown.
fn no_host_or_port(host_port: &[u8], parts: &Parts<'_>) -> Error {
    if parts.after_authority.contains(&b'@') {
        return invalid("no valid host or port");
    }
    invalid(format!("'{}' is not a valid host or port", quote_text(host_port)))
}

/// The host of a foreign scheme: as it came, if it can be held at all.
fn as_written(host: &[u8]) -> Result<String, Error> {
    refuse_controls(host)?;
    match std::str::from_utf8(host) {
        Ok(host) => Ok(host.to_owned()),
        Err(_) => Err(no_host(host)),
    }
}

fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&b| b == at) {
        None => (text, None),
        Some(found) => (&text[..found], Some(&text[found + 1..])),
    }
}
