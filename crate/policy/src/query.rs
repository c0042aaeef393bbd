//! Queries from form fields: the encoding that HTML forms use, and where in a URL it goes.

use crate::url::{Allowed, push_escape};

/// The pairs as `name=value&name=value`, in their order: a space is `+`; everything but letters, digits and `_.-~` is
/// percent-encoded, octet by octet.
pub fn encode<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        push(&mut out, name);
        out.push('=');
        push(&mut out, value);
    }
    out
}

/// The URL with this query added to the one that it has, before its fragment. An empty query changes nothing.
#[must_use]
pub fn join(url: &str, query: &str) -> String {
    if query.is_empty() {
        return url.to_owned();
    }
    let (before, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let mark = match before.find('?') {
        None => "?",
        Some(_) if before.ends_with(['?', '&']) => "",
        Some(_) => "&",
    };
    [before, mark, query, fragment].concat()
}

fn push(out: &mut String, text: &[u8]) {
    for &octet in text {
        match octet {
            b' ' => out.push('+'),
            plain if Allowed::UNRESERVED.holds(plain) => out.push(char::from(plain)),
            other => push_escape(out, other),
        }
    }
}
