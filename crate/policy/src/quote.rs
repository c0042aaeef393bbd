//! Somebody else's words as they may stand in a message: escaped and cut, so that no log and no terminal is their plaything.

/// A name or a URL as it may stand in a message: what can be read as it is, in any script, the rest escaped as by [`quote`]
/// or, of characters that would show nothing or turn the text around, as `\u{200e}`. Cut at 120 characters.
#[must_use]
pub fn quote_text(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match u8::try_from(c).ok().filter(u8::is_ascii) {
                Some(b) => out.extend(std::ascii::escape_default(b).map(char::from)),
                // Behind a letter, since a mark that goes with it is escaped where it stands alone.
                None => out.extend(format!("a{c}").escape_debug().skip(1)),
            }
            if out.len() > MOST_QUOTED * 4 {
                break;
            }
        }
        for &b in chunk.invalid() {
            out.extend(std::ascii::escape_default(b).map(char::from));
        }
        if out.len() > MOST_QUOTED * 4 {
            break;
        }
    }
    if let Some((end, _)) = out.char_indices().nth(MOST_QUOTED) {
        out.truncate(end);
        out.push('…');
    }
    out
}

/// An attacker's bytes as they may stand in a message: escaped, cut at 120 characters.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    const MOST: usize = MOST_QUOTED;
    let mut out = String::new();
    for &b in bytes.iter().take(MOST) {
        out.extend(std::ascii::escape_default(b).map(char::from));
        if out.len() > MOST {
            break;
        }
    }
    if out.len() > MOST || bytes.len() > MOST {
        out.truncate(MOST);
        out.push('…');
    }
    out
}

/// Characters of somebody else's text in a message.
const MOST_QUOTED: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_bytes_are_escaped_and_cut() {
        assert_eq!(quote(b"a\r\n\x00b"), r"a\r\n\x00b");
        assert!(quote(&[b'x'; 500]).chars().count() <= 121);
        assert!(quote(&[0; 500]).chars().count() <= 121);
    }

    #[test]
    fn text_is_quoted_as_it_reads() {
        for (text, quoted) in [
            (&b"a\r\n\x00'b\\"[..], r"a\r\n\x00\'b\\"),
            ("☃.münchen.हिन्दी.例え.test".as_bytes(), "☃.münchen.हिन्दी.例え.test"),
            ("a\u{202e}b\u{200b}c\u{85}d\u{2028}e\u{feff}".as_bytes(), r"a\u{202e}b\u{200b}c\u{85}d\u{2028}e\u{feff}"),
            (b"m\xfcnchen \xe2\x98", r"m\xfcnchen \xe2\x98"),
        ] {
            assert_eq!(quote_text(text), quoted);
        }
        for long in ["x", "☃", "\u{202e}", "\0"] {
            let quoted = quote_text(long.repeat(50_000).as_bytes());
            assert_eq!(quoted.chars().count(), 121);
            assert!(quoted.ends_with('…'));
        }
        assert_eq!(quote_text("☃".repeat(120).as_bytes()), "☃".repeat(120));
    }
}
