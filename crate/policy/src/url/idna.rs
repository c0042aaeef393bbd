//! Labels that are not ASCII: IDNA 2008 (RFC 5891), strict.
//!
//! UTS 46 alone is too kind: it maps full-width letters, takes U+3002 for a dot and lets symbols through. Here a label is
//! only lower-cased; then it must be made of what RFC 5892 calls valid, obey its contextual rules, and come out of UTS 46
//! processing unchanged. `ß`, `ς` and the joiners keep their meaning (non-transitional). The tables, the joiner and the
//! bidi rules are the `idna` crate's.

use std::borrow::Cow;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// The A-label of a label that is not ASCII, or `None` where it has none.
pub(crate) fn to_a_label(label: &str) -> Option<String> {
    // Punycode is quadratic, and no longer label can fit: each character costs an octet at least.
    if label.len() > LONGEST * 4 {
        return None;
    }
    let lower = label.to_lowercase();
    if lower.is_ascii() {
        // The Kelvin sign: its lower case is an ordinary k.
        return Some(lower);
    }
    let characters: Vec<char> = lower.chars().collect();
    if characters.len() > LONGEST || !characters.iter().enumerate().all(|(at, &c)| is_valid(c, at, &characters)) {
        return None;
    }
    let ascii = Uts46::new()
        .to_ascii(lower.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify)
        .ok()
        .map(Cow::into_owned)?;
    (to_unicode(&ascii)? == lower).then_some(ascii)
}

/// Whether a label that begins with `xn--` decodes to something that would be encoded so. A label in ASCII that does not
/// is a second spelling of another name, or none at all.
pub(crate) fn is_a_label(label: &str) -> bool {
    label.len() <= LONGEST && to_unicode(label).is_some_and(|text| !text.is_ascii())
}

fn to_unicode(label: &str) -> Option<Cow<'_, str>> {
    let (text, valid) = Uts46::new().to_unicode(label.as_bytes(), AsciiDenyList::URL, Hyphens::Allow);
    valid.ok().map(|()| text)
}

/// RFC 5892 §3, as far as UTS 46 does not decide it already: what it maps or forbids is found by the round trip.
fn is_valid(c: char, at: usize, label: &[char]) -> bool {
    let any = |test: fn(char) -> bool| label.iter().any(|&c| test(c));
    match c {
        // Appendix A.3 to A.9. The joiners' rules, A.1 and A.2, are UTS 46's too.
        '\u{00B7}' => at > 0 && label[at - 1] == 'l' && label.get(at + 1) == Some(&'l'),
        '\u{0375}' => label.get(at + 1).is_some_and(|&c| is_greek(c)),
        '\u{05F3}' | '\u{05F4}' => at > 0 && matches!(label[at - 1], '\u{0591}'..='\u{05F4}'),
        '\u{30FB}' => any(is_kana_or_han),
        '\u{0660}'..='\u{0669}' => !any(|c| matches!(c, '\u{06F0}'..='\u{06F9}')),
        '\u{06F0}'..='\u{06F9}' => !any(|c| matches!(c, '\u{0660}'..='\u{0669}')),
        c if c.is_ascii() => matches!(c, 'a'..='z' | '0'..='9' | '-'),
        c => is_exception(c) || !is_excluded(c) && (c.is_alphanumeric() || is_mark(c)),
    }
}

/// RFC 5892 §2.6: valid though no letter or digit; and the two joiners.
const fn is_exception(c: char) -> bool {
    matches!(c, '\u{06FD}' | '\u{06FE}' | '\u{0F0B}' | '\u{3007}' | '\u{200C}' | '\u{200D}')
}

/// Invalid though a letter or a mark: RFC 5892 §2.6, the old Hangul letters of §2.9, the marks for symbols and music of §2.5.
const fn is_excluded(c: char) -> bool {
    matches!(c,
        '\u{0640}' | '\u{07FA}' | '\u{302E}' | '\u{302F}' | '\u{3031}'..='\u{3035}' | '\u{303B}'
        | '\u{1100}'..='\u{11FF}' | '\u{A960}'..='\u{A97C}' | '\u{D7B0}'..='\u{D7FB}'
        | '\u{20D0}'..='\u{20FF}' | '\u{1D100}'..='\u{1D24F}')
}

/// Whether it is a combining mark: what UTS 46 (validity criterion 6) takes anywhere but at the beginning.
fn is_mark(c: char) -> bool {
    let mut buffer = String::from("a");
    buffer.push(c);
    to_unicode(&buffer).is_some() && to_unicode(&buffer[1..]).is_none()
}

const fn is_greek(c: char) -> bool {
    matches!(c, '\u{0370}'..='\u{03FF}' | '\u{1F00}'..='\u{1FFF}')
}

const fn is_kana_or_han(c: char) -> bool {
    matches!(c,
        '\u{3005}' | '\u{3007}' | '\u{3041}'..='\u{309F}' | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}'
        | '\u{31F0}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAD9}'
        | '\u{20000}'..='\u{323AF}')
}

/// Octets of a label (RFC 1035 §2.3.4).
const LONGEST: usize = 63;
