//! Where a redirect leads and what becomes of the request on the way: RFC 9110 §15.4 as urllib3 reads it.
//!
//! 301 and 302 keep method and body; browsers make a GET of a POST there.

use crate::error::{Error, Kind};
use crate::origin::{self, Origin, Scheme};
use crate::url::{self, Url};

/// Fields that describe a body and go with it, in lower case.
pub const BODY_FIELDS: [&str; 8] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-type",
    "digest",
    "last-modified",
    "transfer-encoding",
];

/// The Location to follow: of a 301, 302, 303, 307 or 308 with one that is not empty. Any other answer is the answer.
#[must_use]
pub fn location_of(status: u16, location: Option<&[u8]>) -> Option<&[u8]> {
    let location = location?.trim_ascii();
    (matches!(status, 301 | 302 | 303 | 307 | 308) && !location.is_empty()).then_some(location)
}

/// The next request's method, and whether its body and the [`BODY_FIELDS`] go: a 303 is answered by a GET. HEAD stays
/// HEAD (RFC 9110 §15.4.4; urllib3 makes a GET of it).
#[must_use]
pub fn method_after(status: u16, method: &[u8]) -> (&[u8], bool) {
    match status {
        303 if method == b"HEAD" => (method, true),
        303 => (b"GET", true),
        _ => (method, false),
    }
}

/// One step of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Absolute and normalised, without user info and fragment.
    pub url: String,
    /// Whom it is for.
    pub origin: Origin,
    /// Whether scheme, host or port are not the ones asked before: secrets stay behind.
    pub foreign: bool,
}

/// Resolves a Location against the absolute URL that was asked (RFC 3986 §5.2). User info of either is dropped: whoever
/// answers must not choose who we say we are.
///
/// A reference with the base's own scheme but without an authority is relative (§5.2.2 allows it; `http:next`).
///
/// # Errors
/// `MissingHost` where the reference has a scheme and names no host (`mailto:`); `UnknownScheme`; `InvalidUrl`. Their URL is
/// the Location: it is what is wrong, and not what was asked (REDIR-06).
pub fn resolve(base: &str, location: &[u8]) -> Result<Hop, Error> {
    resolved(base, location).map_err(|mut error| {
        let by =
            url::parse(base).map_or_else(|_| String::new(), |base| format!(" (redirected by {})", base.redacted()));
        let message = format!("{error}{by}");
        let fields = error.fields_mut();
        fields.message = message;
        fields.url = Some(url::shown(location));
        error
    })
}

fn resolved(base: &str, location: &[u8]) -> Result<Hop, Error> {
    let base = url::parse(base)?;
    let before = Origin::from_absolute_url(&base)?;
    let location = location.trim_ascii();
    let end = location.iter().position(|&b| b == b'#').unwrap_or(location.len());
    let url = target(&base, before.scheme, &location[..end])?;
    let origin = Origin::from_absolute_url(&url)?;
    Ok(Hop { url: url::absolute(&origin, &url.request_uri()), foreign: origin != before, origin })
}

/// The reference, which has no fragment any more, as an absolute URL.
fn target(base: &Url, scheme: Scheme, reference: &[u8]) -> Result<Url, Error> {
    let (named, rest) = match scheme_length(reference) {
        0 => (None, reference),
        length => (std::str::from_utf8(&reference[..length]).ok(), &reference[length + 1..]),
    };
    let has_authority = rest.starts_with(b"//");
    let scheme = match named {
        None => scheme,
        Some(name) if !has_authority && name.eq_ignore_ascii_case(scheme.name()) => scheme,
        // A location without a host, whatever it is (REDIR-06); the words are about the scheme that nobody asks for.
        Some(name) if !has_authority => {
            return Err(match Scheme::named(name) {
                Ok(_) => origin::no_host(),
                Err(error) => Error::new(Kind::MissingHost, error.to_string()),
            });
        }
        Some(name) => Scheme::named(name)?,
    };
    let mut whole = scheme.name().as_bytes().to_vec();
    whole.push(b':');
    if has_authority {
        whole.extend_from_slice(rest);
    } else {
        whole.extend_from_slice(b"//");
        whole.extend_from_slice(base.netloc().unwrap_or_default().as_bytes());
        push_merged(&mut whole, base, rest);
    }
    url::parse_bytes(&whole)
}

/// A reference without scheme and authority (RFC 3986 §5.2.2 and §5.2.3); its dot segments go when the whole is parsed.
fn push_merged(whole: &mut Vec<u8>, base: &Url, reference: &[u8]) {
    let path = base.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    match reference.first() {
        None => whole.extend_from_slice(base.request_uri().as_bytes()),
        Some(b'?') => whole.extend_from_slice(path.as_bytes()),
        Some(b'/') => {}
        Some(_) => {
            let directory = path.rfind('/').map_or(0, |at| at + 1);
            whole.extend_from_slice(&path.as_bytes()[..directory]);
        }
    }
    whole.extend_from_slice(reference);
}

/// The length of a scheme, without its colon (RFC 3986 §3.1); 0 without one. Here a scheme may hold a dot: a reference never
/// is a bare host.
fn scheme_length(reference: &[u8]) -> usize {
    if !reference.first().is_some_and(u8::is_ascii_alphabetic) {
        return 0;
    }
    let end = reference.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')));
    end.filter(|&end| reference[end] == b':').unwrap_or(0)
}
