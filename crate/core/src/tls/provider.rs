//! The one place that names aws-lc-rs: which cryptography there is, and what of it a caller's names mean.

use ferropool_policy::error::{Error, Kind};
use ferropool_policy::tls::{TlsSettings, Version};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

/// The cryptography with the suites that `ciphers` names, in its order; where it names none, with rustls' choice of them, those
/// of 128 bits first, as browsers have it: they are as far beyond reach, and a handshake hashes less.
///
/// # Errors
/// `Tls` (`ERR_TLS_CIPHER`) for a name that is no suite of rustls.
pub(super) fn provider(settings: &TlsSettings) -> Result<CryptoProvider, Error> {
    let mut provider = aws_lc_rs::default_provider();
    if settings.ciphers.is_empty() {
        // A stable sort: TLS 1.3 stays before 1.2, and the kinds of keys in their order.
        provider
            .cipher_suites
            .sort_by_key(|suite| (suite.version().version != ProtocolVersion::TLSv1_3, !is_aes_128(suite)));
    } else {
        provider.cipher_suites = settings.ciphers.iter().map(|name| suite(name)).collect::<Result<_, _>>()?;
    }
    Ok(provider)
}

/// The versions between the bounds for which there is a suite.
///
/// # Errors
/// `Tls`: `ERR_TLS_VERSION` where the lowest is above the highest, `ERR_TLS_CIPHER` where no suite is left.
pub(super) fn versions(
    settings: &TlsSettings,
    provider: &CryptoProvider,
) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    let lowest = settings.minimum_version.unwrap_or(Version::V12);
    let highest = settings.maximum_version.unwrap_or(Version::V13);
    if lowest > highest {
        return Err(
            Error::new(Kind::Tls, "sslMinimumVersion is above sslMaximumVersion").with_reason("ERR_TLS_VERSION")
        );
    }
    let versions: Vec<_> = [(Version::V13, &rustls::version::TLS13), (Version::V12, &rustls::version::TLS12)]
        .into_iter()
        .filter(|(version, _)| (lowest..=highest).contains(version))
        .map(|(_, version)| version)
        .filter(|version| provider.cipher_suites.iter().any(|suite| suite.version() == *version))
        .collect();
    if versions.is_empty() {
        return Err(Error::new(Kind::Tls, "none of the ciphers belongs to a version of TLS that is allowed")
            .with_reason("ERR_TLS_CIPHER"));
    }
    Ok(versions)
}

fn is_aes_128(suite: &SupportedCipherSuite) -> bool {
    suite_name(suite).contains("AES_128_GCM")
}

/// rustls' names, and IANA's, which differ in TLS 1.3's prefix alone.
fn suite(name: &str) -> Result<SupportedCipherSuite, Error> {
    let is_meant = |suite: &&SupportedCipherSuite| {
        let own = suite_name(suite);
        own.eq_ignore_ascii_case(name) || own.replacen("TLS13_", "TLS_", 1).eq_ignore_ascii_case(name)
    };
    aws_lc_rs::ALL_CIPHER_SUITES.iter().find(is_meant).copied().ok_or_else(|| {
        let names: Vec<_> = aws_lc_rs::ALL_CIPHER_SUITES.iter().map(suite_name).collect();
        Error::new(Kind::Tls, format!("there is no cipher suite {name:?}, but {}", names.join(", ")))
            .with_reason("ERR_TLS_CIPHER")
    })
}

/// As rustls writes it: `TLS13_AES_128_GCM_SHA256`.
pub(super) fn suite_name(suite: &SupportedCipherSuite) -> String {
    suite.suite().as_str().map_or_else(|| format!("{:?}", suite.suite()), str::to_owned)
}
