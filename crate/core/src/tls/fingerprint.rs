//! Whether a certificate has the fingerprint that the caller expects, by urllib3's rules.

use ferropool_policy::error::{Error, Kind};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A digest of a certificate that the caller has from elsewhere. Its length says which digest it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    digest: Digest,
    expected: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digest {
    Md5,
    Sha1,
    Sha256,
}

impl Fingerprint {
    /// Reads hexadecimal digits in any case, with colons or without.
    ///
    /// # Errors
    /// `Tls` (`ERR_FINGERPRINT`) for any other length than that of MD5 (32), SHA-1 (40) or SHA-256 (64), and for what is no
    /// digit.
    pub fn read(text: &str) -> Result<Self, Error> {
        let hex = text.replace(':', "").to_lowercase();
        let digest = match hex.chars().count() {
            32 => Digest::Md5,
            40 => Digest::Sha1,
            64 => Digest::Sha256,
            _ => return Err(refusal(format!("Fingerprint of invalid length: {hex}"))),
        };
        let expected = unhex(&hex).ok_or_else(|| refusal("Non-hexadecimal digit found"))?;
        Ok(Self { digest, expected })
    }

    /// Compares in constant time.
    ///
    /// # Errors
    /// `Tls` (`ERR_FINGERPRINT`) with what was expected and what there is.
    pub fn check(&self, der: &[u8]) -> Result<(), Error> {
        let found = match self.digest {
            Digest::Md5 => Md5::digest(der).to_vec(),
            Digest::Sha1 => Sha1::digest(der).to_vec(),
            Digest::Sha256 => Sha256::digest(der).to_vec(),
        };
        if is_equal(&found, &self.expected) {
            return Ok(());
        }
        Err(refusal(format!(
            "Fingerprints did not match. Expected \"{}\", got \"{}\"",
            hex(&self.expected),
            hex(&found)
        )))
    }
}

/// urllib3's `assert_fingerprint`: whether this certificate has this fingerprint.
///
/// # Errors
/// Those of [`Fingerprint::read`] and [`Fingerprint::check`].
pub fn assert_fingerprint(der: &[u8], fingerprint: &str) -> Result<(), Error> {
    Fingerprint::read(fingerprint)?.check(der)
}

/// What there is to say when there is no certificate to compare.
pub(super) fn refusal(message: impl Into<String>) -> Error {
    Error::new(Kind::Tls, message).with_reason("ERR_FINGERPRINT")
}

/// Lower-case digits, two a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|&b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// The bytes that these digits stand for.
pub(super) fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    hex.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// How long it takes does not tell where they differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b))) == 0
}
