//! Whether the peer is who it should be: its chain, then its name or its fingerprint.
//!
//! webpki does the checks; here stands which of them are made. What the peer showed is kept for the error, since rustls
//! forgets a chain that failed.

use std::cell::RefCell;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use ferropool_policy::error::{Error as OurError, Kind};
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::tls::{CertReqs, NameCheck, TlsSettings};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

use super::fingerprint::Fingerprint;
use super::paths::relevant;
use super::trust::Named;

/// What makes the peer the right one, besides its chain.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// It has the name that was dialled, or that was sent as SNI.
    Named,
    /// It has this name.
    Is(ServerName<'static>),
    /// It has this fingerprint.
    Marked(Fingerprint),
    /// Nothing does.
    Anybody,
}

impl Peer {
    /// `assertHostname ?? serverHostname ?? host`; a fingerprint in place of any name.
    ///
    /// # Errors
    /// `Tls` (`ERR_FINGERPRINT`) for a malformed one, `InvalidOption` for an `assertHostname` that is no name.
    pub(super) fn of(settings: &TlsSettings) -> Result<Self, OurError> {
        if let Some(fingerprint) = &settings.assert_fingerprint {
            return Ok(Self::Marked(Fingerprint::read(fingerprint)?));
        }
        Ok(match (settings.cert_reqs, &settings.assert_hostname) {
            (CertReqs::None, _) | (_, NameCheck::Off) => Self::Anybody,
            (CertReqs::Required, NameCheck::Host) => Self::Named,
            (CertReqs::Required, NameCheck::Is(name)) => Self::Is(given_name(name, "assertHostname")?),
        })
    }

    /// The name that is checked when this one was sent or dialled.
    pub(super) fn asserted<'a>(&'a self, server_name: &'a ServerName<'static>) -> Option<&'a ServerName<'static>> {
        match self {
            Self::Named => Some(server_name),
            Self::Is(name) => Some(name),
            Self::Marked(_) | Self::Anybody => None,
        }
    }

    /// Whether this certificate is that peer's.
    ///
    /// # Errors
    /// rustls', with ours inside where it is about a fingerprint.
    pub(super) fn check(&self, certificate: &CertificateDer<'_>, server_name: &ServerName<'_>) -> Result<(), Error> {
        let named = |name| verify_server_name(&ParsedCertificate::try_from(certificate)?, name);
        match self {
            Self::Named => named(server_name),
            Self::Is(name) => named(name),
            Self::Marked(fingerprint) => fingerprint
                .check(certificate)
                .map_err(|error| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))),
            Self::Anybody => Ok(()),
        }
    }
}

/// Checks what the settings ask for. One instance for one configuration: rustls resumes a session only under the verifier
/// that it was made under.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Whom to trust; `None` where the chain is not looked at.
    pub(super) roots: Option<Arc<RootCertStore>>,
    /// Certificates that were trusted themselves, by their hashes.
    pub(super) named: Named,
    /// What else is checked.
    pub(super) peer: Peer,
    /// Which signatures there are.
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Whether a handshake means anything. A fingerprint alone would not: anybody can send a certificate, only its owner can
    /// sign with its key.
    fn is_lax(&self) -> bool {
        self.roots.is_none() && matches!(self.peer, Peer::Anybody)
    }
}

impl Verifier {
    fn is_named(&self, certificate: &CertificateDer<'_>) -> bool {
        self.named.contains(<[u8; 32]>::from(Sha256::digest(certificate)).as_slice())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        note(end_entity, intermediates);
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            // A few have few ways, whatever their names.
            let outcome = if intermediates.len() <= FEW {
                verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)
            } else {
                let relevant = relevant(end_entity, intermediates).ok_or_else(too_complex)?;
                verify_server_cert_signed_by_trust_anchor(&certificate, roots, &relevant, now, algorithms)
            };
            match outcome {
                // What `openssl req -x509` makes says of itself that it is a CA. Who trusts this very certificate trusts
                // nobody else by it, and its dates have been checked before this: OpenSSL takes it too.
                Err(error) if is_ca(&error) && self.is_named(end_entity) => {}
                outcome => outcome?,
            }
        }
        self.peer.check(end_entity, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.is_lax() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.is_lax() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

const FEW: usize = 3;

/// Whether all that is wrong with the peer's own certificate is that it is a CA's.
fn is_ca(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

fn too_complex() -> Error {
    let error = webpki::Error::MaximumPathBuildCallsExceeded;
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

tokio::task_local! {
    /// The chain of the handshake that is being polled. A verifier serves many at once and is not told which.
    static SEEN: RefCell<Vec<Vec<u8>>>;
}

/// Runs a handshake, and says which chain it was shown, if it verified one.
pub(super) async fn witnessed<F: Future>(handshake: F) -> (F::Output, Vec<Vec<u8>>) {
    SEEN.scope(RefCell::default(), async {
        let outcome = handshake.await;
        (outcome, SEEN.with(RefCell::take))
    })
    .await
}

fn note(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) {
    let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec());
    // Outside of a handshake of ours nobody wants to know.
    let _ = SEEN.try_with(|seen| *seen.borrow_mut() = chain.collect());
}

/// A host as it is sent and checked: without the dot that ends it, without brackets and zone. `None` where no certificate
/// could be for it.
pub(super) fn reference(host: &str) -> Option<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let (address, zone) = bare.split_once('%').map_or((bare, None), |(address, zone)| (address, Some(zone)));
    match address.parse::<IpAddr>() {
        Ok(address) if zone.is_none() || address.is_ipv6() => return Some(ServerName::IpAddress(address.into())),
        _ => {}
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    DnsName::try_from(name).ok().map(ServerName::DnsName)
}

/// A name in an option, which may be written in any script and case.
///
/// # Errors
/// `InvalidOption` for what is no name and no address.
pub(super) fn given_name(name: &str, option: &str) -> Result<ServerName<'static>, OurError> {
    let host = || Origin::new(Scheme::Https, name, None).ok().map(|origin| origin.host);
    // `127.1` would be an address there, and no certificate is for that.
    let normalised = || reference(&host()?).filter(|name| matches!(name, ServerName::DnsName(_)));
    reference(name).or_else(normalised).ok_or_else(|| {
        let name = ferropool_policy::error::quote_text(name.as_bytes());
        OurError::new(Kind::InvalidOption, format!("{option}: '{name}' is no name that a certificate can have"))
    })
}
