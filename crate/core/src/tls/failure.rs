//! What a failure of TLS means, in words that help: which check failed, what the peer showed, and what can be done.
//!
//! The reasons are Node.js's (OpenSSL's) where it has one for the same thing.

use std::io;

use ferropool_policy::error::{Cause, Chain, Error, Kind, Phase, quote, quote_text};
use rustls::{
    AlertDescription as Alert, CertificateError, Error as Tls, InvalidMessage, PeerIncompatible, PeerMisbehaved,
    RootCertStore,
};
use rustls_pki_types::UnixTime;
use webpki::Error as Webpki;

use super::certificate::{Facts, date, describe, facts, traits};

/// What a handshake was about.
pub(super) struct Handshake<'a> {
    /// The peer's certificates, DER, as sent.
    pub(super) chain: Vec<Vec<u8>>,
    /// The name that they were asked for.
    pub(super) asserted: Option<String>,
    /// Whom we trust; `None` where that does not matter.
    pub(super) roots: Option<&'a RootCertStore>,
    /// Whether these are the defaults.
    pub(super) has_default_roots: bool,
}

impl Handshake<'_> {
    /// What this error of the handshake's stream means.
    pub(super) fn failure(self, error: &io::Error) -> Error {
        let failure = match rustls_error(error) {
            Some(error) => self.tls(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                tls("ERR_TLS_EOF", "the peer closed the connection during the TLS handshake")
            }
            None => {
                let why = Cause::from_io(error);
                let message = format!("the connection broke during the TLS handshake: {}", why.words());
                Error::new(Kind::Protocol, message).caused_by(why)
            }
        };
        self.complete(failure)
    }

    /// What this verdict about a finished handshake means.
    pub(super) fn refusal(self, error: &Tls) -> Error {
        let failure = self.tls(error);
        self.complete(failure)
    }

    fn complete(self, error: Error) -> Error {
        let mut error = error.in_phase(Phase::Tls);
        if error.kind() == Kind::Tls {
            error.fields_mut().extra.chain = Some(Chain { certificates: self.chain, asserted: self.asserted });
        }
        error
    }

    fn tls(&self, error: &Tls) -> Error {
        match error {
            Tls::InvalidCertificate(error) => self.certificate(error),
            Tls::AlertReceived(description) => alert(*description),
            Tls::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => tls("ERR_TLS_VERSION", VERSIONS),
            Tls::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
                tls("ERR_TLS_ALPN", "the peer chose an application protocol (ALPN) that it was not offered")
            }
            Tls::InvalidMessage(
                InvalidMessage::CertificatePayloadTooLarge | InvalidMessage::HandshakePayloadTooLarge,
            ) => tls(
                "CERT_CHAIN_TOO_COMPLEX",
                "a message of the peer's handshake, which its certificates alone could be, is larger than 64 KiB",
            ),
            Tls::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            )
            | Tls::PeerSentOversizedRecord
                if self.chain.is_empty() =>
            {
                tls("ERR_NOT_TLS", format!("{NOT_TLS}; if it speaks plain HTTP on this port, ask for an http: URL"))
            }
            error => tls("ERR_TLS_HANDSHAKE", format!("the TLS handshake failed: {error}")),
        }
    }

    fn certificate(&self, error: &CertificateError) -> Error {
        if let CertificateError::Other(other) = error
            && let Some(ours) = other.0.downcast_ref::<Error>()
        {
            return self.with_chain(ours.fields().extra.reason.unwrap_or("ERR_FINGERPRINT"), ours.to_string());
        }
        let (reason, message) = self.verdict(error);
        self.with_chain(reason, message)
    }

    fn verdict(&self, error: &CertificateError) -> (&'static str, String) {
        use CertificateError as C;
        #[expect(deprecated, reason = "rustls still makes the variants without context in places")]
        match error {
            C::Expired => ("CERT_HAS_EXPIRED", "a certificate has expired".to_owned()),
            C::ExpiredContext { time, not_after } => (
                "CERT_HAS_EXPIRED",
                format!("a certificate has expired: it was valid until {}{}", day(*not_after), clock(*time)),
            ),
            C::NotValidYet => ("CERT_NOT_YET_VALID", "a certificate is not valid yet".to_owned()),
            C::NotValidYetContext { time, not_before } => (
                "CERT_NOT_YET_VALID",
                format!("a certificate is not valid yet: it will be from {} on{}", day(*not_before), clock(*time)),
            ),
            C::UnknownIssuer => self.issuer(),
            C::NotValidForName | C::NotValidForNameContext { .. } => ("ERR_TLS_CERT_ALTNAME_INVALID", self.names()),
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => (
                "INVALID_PURPOSE",
                "a certificate is not for servers (its extended key usage has no serverAuth)".to_owned(),
            ),
            C::BadSignature | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } if self.is_a_namesake() => {
                self_signed()
            }
            C::BadSignature => match self.short_key() {
                Some(bits) => ("CERT_UNSUPPORTED_ALGORITHM", too_short(bits)),
                None => (
                    "CERT_SIGNATURE_FAILURE",
                    "a signature is wrong: a certificate's by the key of who should have issued it, or the handshake's by the \
                     certificate's"
                        .to_owned(),
                ),
            },
            C::UnsupportedSignatureAlgorithm | C::UnsupportedSignatureAlgorithmContext { .. } => (
                "CERT_UNSUPPORTED_ALGORITHM",
                self.short_key().map_or_else(
                    || "a signature is made by an algorithm that is not accepted (SHA-1 is none)".to_owned(),
                    too_short,
                ),
            ),
            C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
                "CERT_UNSUPPORTED_ALGORITHM",
                "the algorithm of a signature does not fit the key that it should be made with: it is not accepted for \
                 it, or whoever is trusted by the issuer's name has another key than the issuer (an older CA of this \
                 name?)"
                    .to_owned(),
            ),
            C::Revoked => ("CERT_REVOKED", "a certificate has been revoked".to_owned()),
            C::BadEncoding => ("CERT_MALFORMED", "a certificate is malformed".to_owned()),
            C::UnhandledCriticalExtension => critical_extension(),
            C::Other(other) => match other.0.downcast_ref::<Webpki>() {
                Some(error) => self.webpki(error),
                None => ("CERT_MALFORMED", format!("a certificate was refused: {other}")),
            },
            error => ("CERT_MALFORMED", format!("a certificate was refused: {error}")),
        }
    }

    /// What rustls has no variant for.
    fn webpki(&self, error: &Webpki) -> (&'static str, String) {
        match error {
            Webpki::CaUsedAsEndEntity => match self.leaf() {
                Some(leaf) if leaf.is_self_issued && !self.is_anchor(&leaf.public_key) => self_signed(),
                _ => (
                    "INVALID_CA",
                    "the peer's certificate is a CA's (basicConstraints CA:TRUE) and may not be a server's own: give the \
                     server one with CA:FALSE, or trust this very one with caCerts"
                        .to_owned(),
                ),
            },
            Webpki::EndEntityUsedAsCa => {
                ("INVALID_CA", "a certificate was issued by one that is no CA's (basicConstraints)".to_owned())
            }
            Webpki::PathLenConstraintViolated => {
                ("PATH_LENGTH_EXCEEDED", "a CA allows fewer intermediates than there are (pathLenConstraint)".to_owned())
            }
            Webpki::NameConstraintViolation
            | Webpki::MalformedNameConstraint
            | Webpki::InvalidNetworkMaskConstraint => {
                ("CERT_NAME_CONSTRAINT", "a CA may not vouch for this name (nameConstraints)".to_owned())
            }
            Webpki::MaximumNameConstraintComparisonsExceeded
            | Webpki::MaximumPathBuildCallsExceeded
            | Webpki::MaximumPathDepthExceeded
            | Webpki::MaximumSignatureChecksExceeded => {
                ("CERT_CHAIN_TOO_COMPLEX", "the peer's certificates make too many paths to follow".to_owned())
            }
            Webpki::UnsupportedCriticalExtension => critical_extension(),
            Webpki::CertDistrusted => ("CERT_REVOKED", "a certificate's key is known to be stolen".to_owned()),
            Webpki::SignatureAlgorithmMismatch => {
                ("CERT_SIGNATURE_FAILURE", "a certificate names two different algorithms for its signature".to_owned())
            }
            error => ("CERT_MALFORMED", format!("a certificate is malformed ({error:?})")),
        }
    }

    /// No path leads to anybody whom we trust: why?
    fn issuer(&self) -> (&'static str, String) {
        if self.leaf().is_some_and(|leaf| leaf.is_self_issued) {
            return self_signed();
        }
        let last = self.chain.last();
        let issuer =
            last.and_then(|der| facts(der)).map_or_else(|| "?".to_owned(), |facts| quote_text(facts.issuer.as_bytes()));
        let defaults = if self.has_default_roots {
            " (trusted are the compiled roots of Mozilla, and what the environment adds; caCerts: 'system' takes the system's)"
        } else {
            ""
        };
        if last.and_then(|der| traits(der)).is_some_and(|last| last.is_self_issued) {
            return (
                "SELF_SIGNED_CERT_IN_CHAIN",
                format!(
                    "the chain ends in a CA that is not trusted, {issuer}: if it is your own, pass it with caCerts{defaults}"
                ),
            );
        }
        (
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            format!(
                "the issuer {issuer} was not sent and is not trusted: either the server leaves out its intermediate \
                 certificate, which belongs into its configuration, or the CA is a private one: pass its CA with \
                 caCerts{defaults}"
            ),
        )
    }

    fn names(&self) -> String {
        const MOST: usize = 10;
        let name = self.asserted.as_deref().unwrap_or("?");
        let names = self.chain.first().and_then(|der| facts(der)).map_or_else(Vec::new, |facts: Facts| facts.names);
        if names.is_empty() {
            return format!(
                "the certificate is not valid for '{name}': it has no names (subjectAltName), and its common name does not count"
            );
        }
        let more = names.len().saturating_sub(MOST);
        let names: Vec<_> = names.iter().take(MOST).map(|name| quote(name.as_bytes())).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("the certificate is not valid for '{name}', only for {}{more}", names.join(", "))
    }

    fn leaf(&self) -> Option<super::certificate::Traits> {
        traits(self.chain.first()?)
    }

    /// Anchors have the content of `SubjectPublicKeyInfo`, without its tag and length.
    fn is_anchor(&self, public_key: &[u8]) -> bool {
        self.roots.is_some_and(|roots| {
            roots.roots.iter().any(|anchor| public_key.ends_with(anchor.subject_public_key_info.as_ref()))
        })
    }

    /// Whether the peer's certificate is its own issuer, and shares no more than a name with somebody who is trusted: one that
    /// was made anew, for example.
    fn is_a_namesake(&self) -> bool {
        self.roots.is_some() && self.leaf().is_some_and(|leaf| leaf.is_self_issued && !self.is_anchor(&leaf.public_key))
    }

    /// aws-lc answers a signature by a key that it finds too short as it answers a wrong one.
    fn short_key(&self) -> Option<usize> {
        const LEAST: usize = 2048;
        self.chain.iter().filter_map(|der| traits(der)?.rsa_bits).find(|&bits| bits < LEAST)
    }

    fn with_chain(&self, reason: &'static str, message: String) -> Error {
        const MOST: usize = 10;
        let count = self.chain.len();
        if count == 0 {
            return tls(reason, message);
        }
        let shown = self.chain.iter().take(MOST).enumerate().map(|(at, der)| format!("[{at}] {}", describe(der)));
        let shown: Vec<_> = shown.collect();
        let more = if count > MOST { format!("; and {} more", count - MOST) } else { String::new() };
        tls(reason, format!("{message}; the peer sent {}{more}", shown.join("; ")))
    }
}

/// The error for an I/O error on a connection that is established, if TLS is what failed. The phase is the caller's to say.
#[must_use]
pub fn failure_of(error: &io::Error) -> Option<Error> {
    Some(match rustls_error(error)? {
        Tls::AlertReceived(description) => alert(*description),
        error => tls("ERR_TLS_RECORD", format!("the TLS connection broke: {error}")),
    })
}

/// What of it is true of a proxy, too.
pub(crate) const NOT_TLS: &str = "the peer does not speak TLS";

const VERSIONS: &str = "the peer speaks no version of TLS that is allowed here (from sslMinimumVersion to sslMaximumVersion; \
                        1.2 and 1.3 where they say nothing)";

fn rustls_error(error: &io::Error) -> Option<&Tls> {
    error.get_ref()?.downcast_ref()
}

fn tls(reason: &'static str, message: impl Into<String>) -> Error {
    Error::new(Kind::Tls, message).with_reason(reason)
}

/// RFC 8446 §6. In TLS 1.3 what a server thinks of our certificate comes after the handshake.
fn alert(description: Alert) -> Error {
    let name = alert_name(description);
    match description {
        Alert::ProtocolVersion => tls("ERR_TLS_VERSION", format!("{VERSIONS} (alert {name})")),
        Alert::NoApplicationProtocol => tls(
            "ERR_TLS_ALPN",
            format!("the peer speaks none of the application protocols (ALPN) offered (alert {name})"),
        ),
        Alert::CertificateRequired | Alert::NoCertificate => tls(
            "ERR_TLS_CLIENT_CERT",
            format!("the peer wants a certificate of ours (alert {name}): pass one with certFile and keyFile"),
        ),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => {
            tls("ERR_TLS_CLIENT_CERT", format!("the peer refuses our certificate, or that we have none (alert {name})"))
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity => tls(
            "ERR_TLS_ALERT",
            format!(
                "the peer gave the handshake up (alert {name}): it may share no cipher suite with us, or want a certificate \
                 of ours"
            ),
        ),
        Alert::UnrecognisedName => {
            tls("ERR_TLS_ALERT", format!("the peer does not know the name that it was asked for (alert {name})"))
        }
        _ => tls("ERR_TLS_ALERT", format!("the peer ended the connection (alert {name})")),
    }
}

/// As RFC 8446 writes it: `handshake_failure`.
fn alert_name(description: Alert) -> String {
    let Some(name) = description.as_str() else { return format!("{}", u8::from(description)) };
    let mut out = String::new();
    let characters: Vec<char> = name.replace("Unrecognised", "Unrecognized").chars().collect();
    for (at, c) in characters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| characters[at]);
        let after = characters.get(at + 1);
        let begins = before.is_some_and(char::is_lowercase)
            || before.is_some_and(char::is_uppercase) && after.is_some_and(|after| after.is_lowercase());
        if c.is_uppercase() && begins {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn self_signed() -> (&'static str, String) {
    (
        "DEPTH_ZERO_SELF_SIGNED_CERT",
        "the peer's certificate is signed by itself and not trusted: if it is your own, pass it with caCerts"
            .to_owned(),
    )
}

fn critical_extension() -> (&'static str, String) {
    ("CERT_UNKNOWN_CRITICAL_EXTENSION", "a certificate has a critical extension that is not known".to_owned())
}

fn too_short(bits: usize) -> String {
    format!("a certificate has an RSA key of {bits} bits; fewer than 2048 are not accepted")
}

fn day(time: UnixTime) -> String {
    date(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000))
}

/// A clock that stands before this was written is wrong, and then the certificate is not to blame.
fn clock(now: UnixTime) -> String {
    const WRITTEN: u64 = 1_767_225_600; // 2026-01-01
    if now.as_secs() < WRITTEN {
        format!("; but the system's clock says {}, which cannot be: set the clock", day(now))
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_rfc() {
        assert_eq!(alert_name(Alert::HandshakeFailure), "handshake_failure");
        assert_eq!(alert_name(Alert::UnknownCA), "unknown_ca");
        assert_eq!(alert_name(Alert::UnknownPSKIdentity), "unknown_psk_identity");
        assert_eq!(alert_name(Alert::UnrecognisedName), "unrecognized_name");
        assert_eq!(alert_name(Alert::BadRecordMac), "bad_record_mac");
        assert_eq!(alert_name(Alert::from(200)), "200");
    }

    // WARN-03
    #[test]
    fn a_clock_of_long_ago_is_blamed_in_place_of_the_certificate() {
        let handshake = Handshake { chain: Vec::new(), asserted: None, roots: None, has_default_roots: true };
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let early = CertificateError::NotValidYetContext { time: at(0), not_before: at(1_700_000_000) };
        let (reason, message) = handshake.verdict(&early);
        assert_eq!(reason, "CERT_NOT_YET_VALID");
        assert!(message.contains("set the clock") && message.contains("1970-01-01T00:00:00Z"), "{message}");
        let late = CertificateError::ExpiredContext { time: at(1_800_000_000), not_after: at(1_700_000_000) };
        let (reason, message) = handshake.verdict(&late);
        assert_eq!(reason, "CERT_HAS_EXPIRED");
        assert!(!message.contains("clock") && message.contains("2023-11-14"), "{message}");
    }
}
