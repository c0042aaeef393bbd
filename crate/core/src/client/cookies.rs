//! One Cookie field a request (RFC 6265 §5.4): the caller's own cookies first, then the jar's.

use bytes::{BufMut, Bytes, BytesMut};

use super::request::Line;

/// The lines with the jar's cookies in them.
pub(super) fn joined(lines: &[Line], jar: &[u8]) -> Vec<Line> {
    let mut out = Vec::with_capacity(lines.len() + 1);
    let mut cookies = BytesMut::new();
    let mut name = Bytes::from_static(b"Cookie");
    for line in lines {
        match &line.value {
            Some(value) if line.name.eq_ignore_ascii_case(b"cookie") => {
                name = line.name.clone();
                append(&mut cookies, value);
            }
            _ => out.push(line.clone()),
        }
    }
    append(&mut cookies, jar);
    out.push(Line { name, value: Some(cookies.freeze()) });
    out
}

fn append(cookies: &mut BytesMut, more: &[u8]) {
    if !cookies.is_empty() {
        cookies.put_slice(b"; ");
    }
    cookies.put_slice(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &'static str, value: &'static str) -> Line {
        Line { name: Bytes::from_static(name.as_bytes()), value: Some(Bytes::from_static(value.as_bytes())) }
    }

    // THR-616
    #[test]
    fn there_is_one_cookie_field_whoever_has_cookies() {
        let jar = b"j=1";
        assert_eq!(joined(&[], jar), [line("Cookie", "j=1")]);
        assert_eq!(
            joined(&[line("cookie", "a=1"), line("X-A", "b"), line("Cookie", "c=2")], jar),
            [line("X-A", "b"), line("Cookie", "a=1; c=2; j=1")]
        );
    }
}
