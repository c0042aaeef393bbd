//! What stands in a request line, and the absolute URL that a response shows for it.
//!
//! A pool sends to its own host whatever the target says, so a target that names another host is refused where the caller
//! did not ask for it. Nothing but visible ASCII ever comes out of here (RFC 9112 §3.2).

use std::borrow::Cow;

use super::encode::{self, Allowed};
use super::parse_bytes;
use crate::error::{Error, Kind};
use crate::origin::{Origin, Scheme};

/// The request target that a pool of this origin sends for a URL.
///
/// What begins with `/` is a path: percent-encoded, its dot segments left alone, its fragment dropped. `*` is itself. Anything
/// else is parsed and goes out in absolute form (RFC 9112 §3.2.2), without user info and fragment.
///
/// # Errors
/// `HostChanged` where another host is named (`//other/` names one) and `assert_same_host` is on; `UnknownScheme`,
/// `InvalidUrl`, and `MissingHost` where no host is named at all.
pub fn target<'a>(origin: &Origin, url: &'a str, assert_same_host: bool) -> Result<Cow<'a, str>, Error> {
    Ok(match of_bytes(origin, url.as_bytes(), assert_same_host)? {
        Target::Start(length) => Cow::Borrowed(&url[..length]),
        Target::Rewritten(target) => Cow::Owned(target),
    })
}

/// The same for a proxy that passes requests on: absolute always.
///
/// # Errors
/// As [`target`].
pub fn target_for_proxy(origin: &Origin, url: &str, assert_same_host: bool) -> Result<String, Error> {
    let path = match url {
        // RFC 9112 §3.2.4: the whole server has an empty path.
        "*" => return Ok(origin.url_of("")),
        _ if url.starts_with('/') => target(origin, url, assert_same_host)?,
        _ => {
            let (named, path) = absolute_form(origin, url.as_bytes(), assert_same_host)?;
            return Ok(named.url_of(&path));
        }
    };
    Ok(origin.url_of(&path))
}

/// [`target`] for a JavaScript string, which may hold lone surrogates: they are percent-encoded as their three bytes.
///
/// # Errors
/// As [`target`].
pub fn target_utf16(origin: &Origin, url: &[u16], assert_same_host: bool) -> Result<String, Error> {
    let bytes = encode::from_utf16(url);
    Ok(match of_bytes(origin, &bytes, assert_same_host)? {
        Target::Start(length) => encode::lossless(&bytes[..length]),
        Target::Rewritten(target) => target,
    })
}

/// The absolute URL of a target that was sent to this origin; holds no user info. A zone id is part of it, though it is
/// never sent: without it the URL would name no interface.
#[must_use]
pub fn absolute(origin: &Origin, target: &str) -> String {
    let base = origin.base();
    if target.starts_with('/') {
        return base + target;
    }
    if target == "*" {
        // RFC 9112 §3.3: the whole server has an empty path.
        return base;
    }
    // Sent to a proxy, or to the origin itself.
    for sent in [Origin::url_of, as_sent] {
        match target.strip_prefix(sent(origin, "").as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => return base + rest,
            _ => {}
        }
    }
    target.to_owned()
}

enum Target {
    /// The URL up to this octet, unchanged.
    Start(usize),
    Rewritten(String),
}

fn of_bytes(origin: &Origin, url: &[u8], assert_same_host: bool) -> Result<Target, Error> {
    match url {
        b"*" => Ok(Target::Start(1)),
        [b'/', rest @ ..] => {
            if assert_same_host && rest.first() == Some(&b'/') {
                refuse_foreign(origin, url)?;
            }
            Ok(origin_form(url))
        }
        _ => {
            absolute_form(origin, url, assert_same_host).map(|(named, path)| Target::Rewritten(as_sent(&named, &path)))
        }
    }
}

/// Usually nothing has to change, so the first pass only looks.
fn origin_form(url: &[u8]) -> Target {
    let path = encode::untouched(url, Allowed::PATH);
    let length = match url.get(path) {
        Some(b'?') => path + 1 + encode::untouched(&url[path + 1..], Allowed::QUERY),
        _ => path,
    };
    if matches!(url.get(length), None | Some(b'#')) {
        return Target::Start(length);
    }
    let end = url.iter().position(|&b| b == b'#').unwrap_or(url.len());
    let (path, query) = match url[..end].iter().position(|&b| b == b'?') {
        None => (&url[..end], None),
        Some(at) => (&url[..at], Some(&url[at + 1..end])),
    };
    let mut out = String::with_capacity(end + 16);
    encode::push(&mut out, path, Allowed::PATH);
    if let Some(query) = query {
        out.push('?');
        encode::push(&mut out, query, Allowed::QUERY);
    }
    Target::Rewritten(out)
}

/// The authority is the Host field's, octet for octet (RFC 9112 §3.2): two spellings would be two hosts to somebody.
fn as_sent(origin: &Origin, path: &str) -> String {
    format!("{}://{}{path}", origin.scheme.name(), origin.authority())
}

/// Whom an absolute URL names, and what it asks there.
fn absolute_form(origin: &Origin, text: &[u8], assert_same_host: bool) -> Result<(Origin, String), Error> {
    let url = parse_bytes(text)?;
    let scheme = Scheme::of(&url)?;
    if assert_same_host && !origin.is_host_of(&url, scheme) {
        return Err(foreign(&url.redacted()));
    }
    let named = Origin::of(&url, scheme)?;
    let mut path = url.path.unwrap_or_default();
    if let Some(query) = &url.query {
        path.push('?');
        path.push_str(query);
    }
    Ok((named, path))
}

/// `//other/` is a path to us but a host to whoever reads the target as a reference (RFC 3986 §4.2).
fn refuse_foreign(origin: &Origin, text: &[u8]) -> Result<(), Error> {
    let url = parse_bytes(text)?;
    if url.host.is_none() || origin.is_host_of(&url, origin.scheme) {
        return Ok(());
    }
    Err(foreign(&format!("//{}", url.redacted().trim_start_matches('/'))))
}

/// The error for a target that is not this pool's.
#[must_use]
pub fn foreign(url: &str) -> Error {
    let shown = crate::error::quote_text(url.as_bytes());
    Error::new(Kind::HostChanged, format!("Tried to open a foreign host with url: {shown}"))
}
