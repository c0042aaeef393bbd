//! As much of HPACK (RFC 7541) as finds a path of digits in a request's head: everything else is stepped over, so there is
//! no table to keep.

/// The value of `:path`, where it is a literal of digits and slashes.
pub(crate) fn path(block: &[u8]) -> Option<String> {
    let mut rest = block;
    while let Some(&first) = rest.first() {
        let (prefix, is_literal) = match first {
            // Both the name and the value are in a table (§6.1).
            0x80.. => (7, false),
            // A literal that goes into the table (§6.2.1).
            0x40..=0x7f => (6, true),
            // A change of the table's size (§6.3).
            0x20..=0x3f => (5, false),
            // Literals that do not (§6.2.2, §6.2.3).
            _ => (4, true),
        };
        let index = integer(&mut rest, prefix)?;
        if !is_literal {
            continue;
        }
        if index == 0 {
            string(&mut rest)?;
        }
        let (is_huffman, value) = string(&mut rest)?;
        if index == PATH || index == PATH_INDEX {
            return if is_huffman { digits(value) } else { String::from_utf8(value.to_vec()).ok() };
        }
    }
    None
}

/// §5.1.
fn integer(rest: &mut &[u8], prefix: u32) -> Option<usize> {
    let (&first, mut after) = rest.split_first()?;
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(first) & most;
    if value == most {
        for shift in (0..28).step_by(7) {
            let (&next, behind) = after.split_first()?;
            after = behind;
            value += usize::from(next & 0x7f) << shift;
            if next & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = after;
    Some(value)
}

/// §5.2: whether it is in Huffman's code, and its octets.
fn string<'a>(rest: &mut &'a [u8]) -> Option<(bool, &'a [u8])> {
    let is_huffman = rest.first()? & 0x80 != 0;
    let length = integer(rest, 7)?;
    let (value, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some((is_huffman, value))
}

/// Appendix B, of which digits and the slash have the shortest codes: `0` to `2` five bits, the others six.
fn digits(octets: &[u8]) -> Option<String> {
    let bit = |at: usize| octets.get(at / 8).map(|octet| octet >> (7 - at % 8) & 1);
    let bits = |at: usize, count: usize| (at..at + count).try_fold(0, |value, at| Some(value << 1 | bit(at)?));
    let (mut text, mut at) = (String::new(), 0);
    while octets.len() * 8 - at >= 5 {
        let short = bits(at, 5)?;
        if short <= 2 {
            text.push(char::from(b'0' + short));
            at += 5;
            continue;
        }
        match bits(at, 6) {
            Some(0x18) => text.push('/'),
            Some(long @ 0x19..=0x1f) => text.push(char::from(b'3' + long - 0x19)),
            // What fills the last octet is ones (§5.2).
            _ if short == 0x1f && octets.len() * 8 - at < 8 => break,
            _ => return None,
        }
        at += 6;
    }
    Some(text)
}

/// `:path: /` and `:path: /index.html` of the static table, used for the name alone.
const PATH: usize = 4;
const PATH_INDEX: usize = 5;

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_path_of_digits_is_found_among_other_fields() {
        // :method GET, :scheme http, a literal with a new name, then the path as it is.
        let plain = [&[0x82, 0x86, 0x40, 1, b'x', 1, b'y', 0x04, 5][..], b"/1209"].concat();
        assert_eq!(path(&plain).as_deref(), Some("/1209"));
        // "/1209" in Huffman's code: 011000 00001 00010 00000 011111, and two ones.
        let coded = [0x82, 0x04, 0x84, 0b0110_0000, 0b0010_0010, 0b0000_0011, 0b1111_1111];
        assert_eq!(path(&coded).as_deref(), Some("/1209"));
        assert_eq!(path(&[0x82, 0x86]), None);
    }
}
