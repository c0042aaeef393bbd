//! Bytes of a body as text: which charset they are written in, and what they say in it.
//!
//! The charset is the first that is named by a byte order mark (RFC 3629, 6; WHATWG Encoding, 6), the Content-Type
//! (RFC 9110, 8.3.2), an HTML meta element among the first 1,024 bytes (HTML, 13.2.3.2); otherwise it is UTF-8. Labels
//! are WHATWG's; a label that names nothing is passed over, and so are those of the "replacement" encoding, which says
//! nothing about any body. XML declarations are not read: they are the business of an XML parser.

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use self::prescan::Prescan;

mod prescan;

/// A body's charset, and what said so.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The charset.
    pub encoding: &'static Encoding,
    /// What said so.
    pub source: Source,
    /// Whether any other body of this content type has this charset too, unless it begins with a byte order mark.
    pub by_type_alone: bool,
}

/// What says which charset a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A byte order mark.
    Mark,
    /// The charset parameter of Content-Type.
    Header,
    /// A meta element of HTML.
    Meta,
    /// Nothing did.
    Default,
}

impl Source {
    /// As the facade calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mark => "bom",
            Self::Header => "header",
            Self::Meta => "meta",
            Self::Default => "default",
        }
    }
}

/// Text in the form that needs the least work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// Each byte is the code point of its number.
    Latin1(&'a [u8]),
    /// Units of UTF-16, well-formed.
    Utf16(Vec<u16>),
}

/// Finds the charset of a body that came with this content type.
pub fn sniff(data: &[u8], content_type: Option<&str>) -> Found {
    let found = |encoding, source, by_type_alone| Found { encoding, source, by_type_alone };
    if let Some((encoding, _)) = Encoding::for_bom(data) {
        return found(encoding, Source::Mark, false);
    }
    if let Some(encoding) = content_type.and_then(declared) {
        return found(encoding, Source::Header, true);
    }
    if !may_be_html(content_type) {
        return found(UTF_8, Source::Default, true);
    }
    match Prescan::new(data).encoding() {
        // A page whose meta element could be read byte by byte is not in UTF-16, whatever it says.
        Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => found(UTF_8, Source::Meta, false),
        Some(encoding) if encoding == X_USER_DEFINED => found(WINDOWS_1252, Source::Meta, false),
        Some(encoding) => found(encoding, Source::Meta, false),
        None => found(UTF_8, Source::Default, false),
    }
}

/// The charset that a label of the WHATWG Encoding standard names.
///
/// The labels of "replacement" (`iso-2022-kr`, `hz-gb-2312` and so on) name none: such a body would be one U+FFFD.
pub fn known(label: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label)
}

/// Decodes a whole body. Each malformed sequence becomes U+FFFD, and so does one that the end cuts off; the charset's own
/// byte order mark is dropped.
pub fn decode<'a>(data: &'a [u8], encoding: &'static Encoding) -> Text<'a> {
    let data = match Encoding::for_bom(data) {
        Some((marked, length)) if marked == encoding => &data[length..],
        _ => data,
    };
    if is_latin1(data, encoding) {
        return Text::Latin1(data);
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    // The bound is more than there are addresses only for bytes that no memory holds.
    let mut units = vec![0; decoder.max_utf16_buffer_length(data.len()).unwrap_or(usize::MAX)];
    let (_, _, written, _) = decoder.decode_to_utf16(data, &mut units, true);
    units.truncate(written);
    Text::Utf16(units)
}

/// Whether these bytes are in this charset what they are in Latin-1, so that there is nothing to decode.
fn is_latin1(data: &[u8], encoding: &'static Encoding) -> bool {
    if encoding == WINDOWS_1252 {
        // It differs from Latin-1 in 80 to 9F alone. By blocks without a branch inside, which the compiler can widen.
        return data
            .chunks(BLOCK)
            .all(|block| block.iter().fold(0, |any, byte| any | u8::from(byte & 0xe0 == 0x80)) == 0);
    }
    if encoding == ISO_2022_JP {
        return Encoding::iso_2022_jp_ascii_valid_up_to(data) == data.len();
    }
    encoding.is_ascii_compatible() && Encoding::ascii_valid_up_to(data) == data.len()
}

/// What Content-Type says: its first charset parameter whose label is known. Two header fields that were joined by a comma
/// count as one.
fn declared(content_type: &str) -> Option<&'static Encoding> {
    let mut rest = content_type.split_once(';')?.1;
    loop {
        let equals = rest.find(['=', ';']).filter(|at| rest.as_bytes()[*at] == b'=');
        let after = match equals {
            Some(at) => {
                let (value, after) = value_of(rest[at + 1..].trim_ascii_start());
                if rest[..at].trim_ascii().eq_ignore_ascii_case("charset")
                    && let Some(encoding) = known(value.as_bytes())
                {
                    return Some(encoding);
                }
                after
            }
            None => rest,
        };
        rest = after.split_once(';')?.1;
    }
}

/// A parameter's value, a token or quoted, and what follows it. Escapes stay: no label has any.
fn value_of(text: &str) -> (&str, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', '"', ' ', '\t']).unwrap_or(text.len());
        return text.split_at(end);
    };
    let mut escaped = false;
    let end = quoted.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    match end {
        Some(end) => (&quoted[..end], &quoted[end + 1..]),
        None => (quoted, ""),
    }
}

/// Whether meta elements mean anything in it: in HTML, and in what says of itself nothing at all.
fn may_be_html(content_type: Option<&str>) -> bool {
    let trimmed = content_type.unwrap_or_default().trim_ascii();
    let essence = trimmed.split([';', ',', ' ', '\t']).next().unwrap_or_default();
    essence.is_empty() || ["text/html", "application/xhtml+xml"].iter().any(|html| essence.eq_ignore_ascii_case(html))
}

/// Bytes looked at between two decisions to go on.
const BLOCK: usize = 1024;

#[cfg(test)]
mod tests;
