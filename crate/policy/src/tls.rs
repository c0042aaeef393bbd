//! What a caller may say about TLS, as plain data. Whether files can be read and keys fit is found out where a
//! configuration is made of it.

use std::fmt;

use serde::Deserialize;

/// The TLS options of a pool. Equal settings share one configuration and its sessions, unequal ones never do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Whether the peer's chain and name are checked. Default: they are.
    pub cert_reqs: CertReqs,
    /// Whom to trust, in place of the defaults; each adds. Empty: the defaults.
    pub authorities: Vec<Authority>,
    /// What the environment says about the defaults.
    pub environment: Environment,
    /// The client's own certificate.
    pub identity: Option<Identity>,
    /// Which name the certificate is checked for.
    pub assert_hostname: NameCheck,
    /// Hexadecimal, colons allowed: MD5, SHA-1 or SHA-256 of the peer's certificate, by its length.
    pub assert_fingerprint: Option<String>,
    /// The name sent (SNI) and checked in place of the host.
    pub server_hostname: Option<String>,
    /// The lowest version. Default TLS 1.2.
    pub minimum_version: Option<Version>,
    /// The highest version. Default none.
    pub maximum_version: Option<Version>,
    /// Cipher suites by rustls' names, in this order of preference. Empty: rustls' own choice, those of
    /// 128 bits first.
    pub ciphers: Vec<String>,
    /// A file that session keys are appended to, for a tool that reads captures.
    pub key_log_file: Option<String>,
}

impl TlsSettings {
    /// Whether there are files to read, or certificates that somebody gave to understand: that takes its time.
    #[must_use]
    pub fn has_reading(&self) -> bool {
        !self.authorities.is_empty()
            || self.environment != Environment::default()
            || self.identity.is_some()
            || self.key_log_file.is_some()
    }
}

/// Whether a peer is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertReqs {
    /// Chain and name are checked.
    #[default]
    Required,
    /// Nothing is checked but a fingerprint, where there is one.
    None,
}

/// Somebody to trust.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// A file of PEM certificates.
    File(String),
    /// Every PEM file in a directory.
    Dir(String),
    /// PEM text.
    Pem(String),
    /// DER: one certificate, as base64.
    Der(String),
    /// The system's store.
    System,
}

/// What the environment says about default trust, read once a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Environment {
    /// `SSL_CERT_FILE`: in place of the compiled roots.
    pub cert_file: Option<String>,
    /// `SSL_CERT_DIR`: in place of the compiled roots.
    pub cert_dir: Option<String>,
    /// `NODE_EXTRA_CA_CERTS`, known to be readable: in addition.
    pub extra_certs: Option<String>,
    /// `NODE_USE_SYSTEM_CA=1`, `--use-system-ca`: the system's store, in addition.
    pub system: bool,
}

/// A certificate or key that the caller gave.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Material {
    /// A PEM file.
    File(String),
    /// PEM text.
    Pem(String),
}

/// The client's certificate, its intermediates after it, and its key.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The certificates; may hold the key too.
    pub chain: Material,
    /// The key, where it is elsewhere.
    #[serde(default)]
    pub key: Option<Material>,
    /// What an encrypted key is opened with, as base64 of its bytes.
    #[serde(default)]
    pub password: Option<String>,
}

/// Which name is checked. (`assertHostname ?? serverHostname ?? host`)
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameCheck {
    /// `serverHostname`, or else the host.
    #[default]
    Host,
    /// This one.
    Is(String),
    /// None; the chain still is.
    Off,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Version {
    /// RFC 5246.
    #[serde(rename = "TLSv1.2")]
    V12,
    /// RFC 8446.
    #[serde(rename = "TLSv1.3")]
    V13,
}

/// Whether HTTP/2 is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Http2 {
    /// Never.
    #[default]
    Off,
    /// Where the peer chooses it by ALPN (RFC 7301); HTTP/1.1 else. Over plain TCP: never.
    On,
    /// At once, over plain TCP (RFC 9113 §3.3).
    PriorKnowledge,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Pem(_) => f.write_str("Pem(…)"),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain).field("key", &self.key).finish_non_exhaustive()
    }
}
