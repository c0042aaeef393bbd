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
    let lower = label.to_lowercase();
    if lower.is_ascii() {
        // The Kelvin sign: its lower case is an ordinary k.
        return Some(lower);
    }
    let characters: Vec<char> = lower.chars().collect();
    // Punycode and the contextual rules are quadratic, and no longer label can fit: each character
    // costs an octet at least.
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
        c => is_exception(c) || !is_excluded(c) && !is_other_number(c) && (c.is_alphanumeric() || is_mark(c)),
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

/// RFC 5892 §2.1 takes decimal digits alone. These are the other numbers that UTS 46 leaves as they are, the enclosing marks
/// and the letters in circles and squares.
const fn is_other_number(c: char) -> bool {
    matches!(c,
        '\u{0488}'..='\u{0489}' | '\u{09F4}'..='\u{09F9}' | '\u{0B72}'..='\u{0B77}' | '\u{0BF0}'..='\u{0BF2}'
        | '\u{0C78}'..='\u{0C7E}' | '\u{0D58}'..='\u{0D5E}' | '\u{0D70}'..='\u{0D78}' | '\u{0F2A}'..='\u{0F33}'
        | '\u{1369}'..='\u{137C}' | '\u{16EE}'..='\u{16F0}' | '\u{17F0}'..='\u{17F9}' | '\u{19DA}' | '\u{1ABE}'
        | '\u{2180}'..='\u{2182}' | '\u{2185}'..='\u{2188}' | '\u{24EB}'..='\u{24FF}' | '\u{2776}'..='\u{2793}'
        | '\u{2CFD}' | '\u{3021}'..='\u{3029}' | '\u{3248}'..='\u{324F}' | '\u{A670}'..='\u{A672}'
        | '\u{A6E6}'..='\u{A6EF}' | '\u{A830}'..='\u{A835}' | '\u{10107}'..='\u{10133}' | '\u{10140}'..='\u{10178}'
        | '\u{1018A}'..='\u{1018B}' | '\u{102E1}'..='\u{102FB}' | '\u{10320}'..='\u{10323}' | '\u{10341}'
        | '\u{1034A}' | '\u{103D1}'..='\u{103D5}' | '\u{11052}'..='\u{11065}' | '\u{111E1}'..='\u{111F4}'
        | '\u{1173A}'..='\u{1173B}' | '\u{118EA}'..='\u{118F2}' | '\u{11C5A}'..='\u{11C6C}'
        | '\u{11FC0}'..='\u{11FD4}' | '\u{12400}'..='\u{1246E}' | '\u{16B5B}'..='\u{16B61}'
        | '\u{16E80}'..='\u{16E96}' | '\u{1D2E0}'..='\u{1D2F3}' | '\u{1D360}'..='\u{1D378}'
        | '\u{1F10B}'..='\u{1F10C}' | '\u{1F150}'..='\u{1F169}' | '\u{1F170}'..='\u{1F189}')
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

#[cfg(test)]
mod tests {
    use super::*;

    // URL-07 THR-513
    #[test]
    fn a_label_is_lower_cased_and_otherwise_taken_as_it_is_or_refused() {
        for (label, expected) in [
            ("faß", "xn--fa-hia"),
            ("Königsgäßchen", "xn--knigsgchen-b4a3dun"),
            ("σς", "xn--3xab"),
            ("日本", "xn--wgv71a"),
            ("col·lecció", "xn--collecci-ioa91d"),
            ("日・本", "xn--vek160nc2a"),
            ("क्‍ष", "xn--11b2ezcw70k"),
            ("\u{0915}\u{093C}\u{0940}", "xn--11b2fm"),
            ("\u{212A}", "k"),
        ] {
            assert_eq!(to_a_label(label).as_deref(), Some(expected), "{label}");
        }
        for label in [
            "ＥＸＡＭＰＬＥ",
            "a\u{3002}b",
            "❤",
            "❤\u{FE0F}",
            "a\u{AD}b",
            "a\u{200D}é",
            "a·b",
            "①",
            "\u{0661}\u{06F1}",
            "-é",
            "é-",
            "ab--é",
            "e\u{301}",
            "\u{301}e",
            "אa",
            "\u{D7FF}",
            "\u{FFFD}",
            "a_é",
            "a é",
            "a%é",
            "a・b",
            "\u{2182}",
            "a\u{20DD}b",
        ] {
            assert_eq!(to_a_label(label), None, "{label}");
        }
        assert_eq!(to_a_label(&format!("é{}", "a".repeat(64))), None);
    }

    // THR-513
    #[test]
    fn an_a_label_must_be_the_encoding_of_something() {
        for label in ["xn--fa-hia", "xn--r8jz45g", "xn--i-7iq", "xn--knigsgchen-b4a3dun"] {
            assert!(is_a_label(label), "{label}");
        }
        for label in
            ["xn--", "xn--a", "xn--abc-", "xn--example-", "xn--a-0000000000", &format!("xn--{}", "a".repeat(64))]
        {
            assert!(!is_a_label(label), "{label}");
        }
    }
}
