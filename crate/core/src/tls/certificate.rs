//! What a certificate says, for people: for errors, and for whoever looks at a connection's chain. It judges nothing.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ferropool_policy::error::quote_text;
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{DateTime, Decode as _, Encode as _};

/// What stands in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is, as RFC 4514 writes names: `CN=example.com,O=Example`.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// Not before, in milliseconds since 1970.
    pub valid_from: i64,
    /// Not after, in milliseconds since 1970.
    pub valid_to: i64,
    /// subjectAltName, each entry as Node.js writes it: `DNS:x`, `IP Address:1.2.3.4`.
    pub names: Vec<String>,
    /// SHA-256 of the DER, upper case, with colons.
    pub sha256: String,
}

/// Reads a certificate; `None` for what is none.
#[must_use]
pub fn facts(der: &[u8]) -> Option<Facts> {
    let certificate = Certificate::from_der(der).ok()?;
    let tbs = &certificate.tbs_certificate;
    let milliseconds = |time: Duration| i64::try_from(time.as_millis()).ok();
    Some(Facts {
        subject: tbs.subject.to_string(),
        issuer: tbs.issuer.to_string(),
        valid_from: milliseconds(tbs.validity.not_before.to_unix_duration())?,
        valid_to: milliseconds(tbs.validity.not_after.to_unix_duration())?,
        names: names(&certificate),
        sha256: Sha256::digest(der).iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":"),
    })
}

/// `2026-01-31T00:00:00Z`.
pub(super) fn date(milliseconds: i64) -> String {
    let since = u64::try_from(milliseconds).map(Duration::from_millis).ok();
    let date = since.and_then(|since| DateTime::from_unix_duration(Duration::from_secs(since.as_secs())).ok());
    date.map_or_else(|| format!("{milliseconds} ms"), |date| date.to_string())
}

/// What the errors need to know beyond [`Facts`].
pub(super) struct Traits {
    /// Subject and issuer are one: nobody else vouches for it.
    pub(super) is_self_issued: bool,
    /// The length of an RSA key, in bits.
    pub(super) rsa_bits: Option<usize>,
    /// `SubjectPublicKeyInfo`, DER.
    pub(super) public_key: Vec<u8>,
}

pub(super) fn traits(der: &[u8]) -> Option<Traits> {
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    let tbs = Certificate::from_der(der).ok()?.tbs_certificate;
    let info = &tbs.subject_public_key_info;
    let rsa_bits = (info.algorithm.oid == RSA).then(|| modulus_bits(info.subject_public_key.raw_bytes())).flatten();
    Some(Traits { is_self_issued: tbs.subject == tbs.issuer, rsa_bits, public_key: info.to_der().ok()? })
}

/// One DER element: its tag, its content, and what follows it. Lengths beyond 32 bits are not read.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn modulus_bits(key: &[u8]) -> Option<usize> {
    let (_, fields, _) = element(key)?;
    let (_, modulus, _) = element(fields)?;
    let leading = modulus.iter().position(|&b| b != 0)?;
    Some((modulus.len() - leading) * 8 - modulus[leading].leading_zeros() as usize)
}

fn names(certificate: &Certificate) -> Vec<String> {
    const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
    let extensions = certificate.tbs_certificate.extensions.iter().flatten();
    let Some(extension) = extensions.into_iter().find(|extension| extension.extn_id == SUBJECT_ALT_NAME) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let Some((0x30, mut rest, _)) = element(extension.extn_value.as_bytes()) else { return names };
    while let Some((tag, value, after)) = element(rest) {
        names.push(name(tag, value));
        rest = after;
    }
    names
}

/// RFC 5280 §4.2.1.6, by the tags of `GeneralName`.
fn name(tag: u8, value: &[u8]) -> String {
    match tag {
        0x81 => format!("email:{}", text(value)),
        0x82 => format!("DNS:{}", text(value)),
        0x86 => format!("URI:{}", text(value)),
        0x87 => format!("IP Address:{}", address(value)),
        0x88 => ObjectIdentifier::from_bytes(value)
            .map_or_else(|_| "Registered ID:<invalid>".to_owned(), |id| format!("Registered ID:{id}")),
        0xa3 => "X400Name:<unsupported>".to_owned(),
        0xa4 => match x509_cert::name::RdnSequence::from_der(value) {
            Ok(name) => format!("DirName:{}", text(name.to_string().as_bytes())),
            Err(_) => "DirName:<invalid>".to_owned(),
        },
        0xa5 => "EdiPartyName:<unsupported>".to_owned(),
        _ => "othername:<unsupported>".to_owned(),
    }
}

/// As Node.js since CVE-2021-44532: what could be taken for the end of a name is quoted, as JSON is.
fn text(value: &[u8]) -> String {
    let is_plain = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\' | b',' | b'\'');
    if value.iter().all(is_plain) {
        return value.iter().copied().map(char::from).collect();
    }
    let mut out = String::from("\"");
    for &b in value {
        match b {
            b'"' | b'\\' => out.extend(['\\', char::from(b)]),
            b' '..=b'~' => out.push(char::from(b)),
            // Latin-1, as Node.js reads it.
            _ => out.extend(format!("\\u{b:04x}").chars()),
        }
    }
    out.push('"');
    out
}

/// IPv6 as OpenSSL writes it: eight groups, nothing left out.
fn address(value: &[u8]) -> String {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return IpAddr::from(octets).to_string();
    }
    match <[u8; 16]>::try_from(value) {
        Ok(octets) => Ipv6Addr::from(octets).segments().map(|group| format!("{group:X}")).join(":"),
        Err(_) => "<invalid>".to_owned(),
    }
}

/// A certificate in a message: somebody else's text, so it is escaped and cut.
pub(super) fn describe(der: &[u8]) -> String {
    match facts(der) {
        Some(facts) => format!(
            "subject {}, issuer {}, valid {} to {}",
            quote_text(facts.subject.as_bytes()),
            quote_text(facts.issuer.as_bytes()),
            date(facts.valid_from),
            date(facts.valid_to)
        ),
        None => format!("{} bytes that are no certificate", der.len()),
    }
}
