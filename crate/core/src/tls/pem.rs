//! PEM (RFC 7468) with the headers of RFC 1421 §4.6 that OpenSSL's encrypted keys have, which the usual readers do not take.
//!
//! It is lenient about what stands between and around sections, as bundles of authorities have comments there, and strict
//! about sections: one that breaks off is an error, since leaving out an authority in silence would be worse.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// What stands between BEGIN and END.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// `CERTIFICATE`, `RSA PRIVATE KEY`, …
    pub(super) label: String,
    /// `Proc-Type`, `DEK-Info`.
    pub(super) headers: Vec<(String, String)>,
    /// Decoded.
    pub(super) body: Vec<u8>,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Every section, in order.
///
/// # Errors
/// What is wrong with which section, for a message.
pub(super) fn sections(text: &[u8]) -> Result<Vec<Section>, String> {
    let mut sections = Vec::new();
    let mut lines = text.split(|&b| b == b'\n' || b == b'\r').map(<[u8]>::trim_ascii);
    while let Some(line) = lines.next() {
        let Some(label) = marker(line, b"-----BEGIN ") else { continue };
        let at = sections.len() + 1;
        let mut section = Section { label: label.clone(), headers: Vec::new(), body: Vec::new() };
        let mut digits = Vec::new();
        loop {
            let Some(line) = lines.next() else {
                return Err(format!("PEM section {at} ({label}) has no end"));
            };
            if line.starts_with(b"-----") {
                if marker(line, b"-----END ").is_none_or(|end| end != label) {
                    return Err(format!("PEM section {at} ({label}) has no end"));
                }
                break;
            }
            match line.iter().position(|&b| b == b':') {
                Some(colon) => section.headers.push((
                    String::from_utf8_lossy(&line[..colon]).into_owned(),
                    String::from_utf8_lossy(line[colon + 1..].trim_ascii()).into_owned(),
                )),
                None => digits.extend(line.iter().filter(|b| !b.is_ascii_whitespace())),
            }
        }
        section.body = BASE64.decode(&digits).map_err(|_| format!("PEM section {at} ({label}) is not base64"))?;
        sections.push(section);
    }
    Ok(sections)
}

/// The label, if this line is such a marker. Labels longer than any that there is are cut: they go into messages.
fn marker(line: &[u8], start: &[u8]) -> Option<String> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    Some(ferropool_policy::error::quote(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_found_among_comments_with_their_headers() {
        let text = b"\xef\xbb\xbf# Root\r\n-----BEGIN A-----\r\nAQID\r\n-----END A-----\r\nx\n-----BEGIN B C-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQ==\n-----END B C-----";
        let sections = sections(text).unwrap();
        assert_eq!(sections.len(), 2);
        assert_eq!((sections[0].label.as_str(), sections[0].body.as_slice()), ("A", &[1, 2, 3][..]));
        assert_eq!((sections[1].label.as_str(), sections[1].body.as_slice()), ("B C", &[1][..]));
        assert_eq!(sections[1].headers[0], ("Proc-Type".to_owned(), "4,ENCRYPTED".to_owned()));
    }

    #[test]
    fn a_section_that_breaks_off_is_an_error() {
        for broken in [
            "-----BEGIN A-----\nAQID\n",
            "-----BEGIN A-----\nAQID\n-----END B-----",
            "-----BEGIN A-----\n!\n-----END A-----",
        ] {
            assert!(sections(broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(sections(b"junk").unwrap().is_empty());
    }
}
