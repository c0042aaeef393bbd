//! TLS to an origin: what the settings mean, the handshake, and what is known after it.
//!
//! rustls does the protocol and webpki the certificates, with aws-lc-rs for the cryptography. It knows nothing of pools:
//! whoever has a connected stream gets a secured one, or an error that can be thrown as it is.

pub mod certificate;
pub mod fingerprint;

mod failure;
mod identity;
mod keylog;
mod paths;
mod pem;
mod provider;
mod sessions;
mod shared;
mod source;
mod trust;
mod verify;

use std::fmt;
use std::sync::Arc;

use ferropool_policy::error::{Error, Kind, quote};
use ferropool_policy::tls::TlsSettings;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use failure::NOT_TLS;
pub use failure::failure_of;

use failure::Handshake;
use shared::Shared;

/// Which application protocols are offered (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1`.
    Http1,
    /// `h2`, or else `http/1.1`.
    Http2,
}

impl Alpn {
    fn offer(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Http2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

/// All that is needed to secure connections to one host. Plans of equal settings share one configuration and its sessions.
#[derive(Clone)]
pub struct TlsPlan {
    shared: Arc<Shared>,
    client: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    is_verified: bool,
}

/// What was agreed upon in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// rustls' name of the suite, such as `TLS13_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// Whether an earlier session went on, in which case the chain is the one that was verified then.
    pub resumed: bool,
    /// Whether the chain was checked, or a fingerprint.
    pub verified: bool,
    /// The name sent (SNI); none is for an address.
    pub server_name: Option<String>,
    /// The peer's certificates as it sent them, DER, its own first.
    pub chain: Vec<Vec<u8>>,
    /// Whether the peer chose HTTP/2.
    pub h2: bool,
}

impl TlsPlan {
    /// Judges everything that can be judged without the network, and reads files. `host` is the pool's, normalised
    /// ([`ferropool_policy::origin::Origin::host`]).
    ///
    /// # Errors
    /// `Tls` for files, keys, fingerprints, cipher suites and versions; the reason says which. `InvalidOption` for names that
    /// no certificate can have.
    pub fn new(settings: &TlsSettings, host: &str, alpn: Alpn) -> Result<Self, Error> {
        let server_name = server_name(settings, host)?;
        let shared = Shared::of(settings, alpn)?;
        let is_verified = shared.roots.is_some() || settings.assert_fingerprint.is_some();
        Ok(Self { client: Arc::clone(&shared.client), shared, server_name, is_verified })
    }

    /// The same for one client of several: what is resumed was begun by plans of the same name. The empty name is the client
    /// that all others are.
    #[must_use]
    pub fn apart(self, client: &str) -> Self {
        let client = if client.is_empty() { Arc::clone(&self.shared.client) } else { self.shared.client_of(client) };
        Self { client, ..self }
    }

    /// The plan of another host with the same settings, without a look at any file.
    ///
    /// # Errors
    /// As [`TlsPlan::new`], for the host.
    pub fn for_host(&self, settings: &TlsSettings, host: &str) -> Result<Self, Error> {
        Ok(Self { server_name: server_name(settings, host)?, ..self.clone() })
    }

    /// Makes the handshake. There is no deadline in here; dropping the future closes the stream.
    ///
    /// # Errors
    /// Ready to be thrown, in phase `tls`: `Tls` with its reason and what the peer sent, or `Protocol` where the connection
    /// broke.
    pub async fn handshake<S>(&self, stream: S) -> Result<(TlsStream<S>, Secured), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let (outcome, seen) = verify::witnessed(connector.connect(self.server_name.clone(), stream)).await;
        let stream = outcome.map_err(|error| self.about(seen).failure(&error))?;
        let session = stream.get_ref().1;
        let certificates = session.peer_certificates().unwrap_or_default();
        let chain: Vec<_> = certificates.iter().map(|der| der.to_vec()).collect();
        // A resumed handshake asks no verifier. The key of the configuration keeps sessions apart already; this is the second
        // lock on the door.
        let leaf = certificates.first().ok_or(rustls::Error::NoCertificatesPresented);
        if let Err(error) = leaf.and_then(|leaf| self.shared.peer.check(leaf, &self.server_name)) {
            return Err(self.about(chain).refusal(&error));
        }
        let secured = Secured {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            cipher: session.negotiated_cipher_suite().as_ref().map_or_else(String::new, provider::suite_name),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            verified: self.is_verified,
            server_name: match &self.server_name {
                ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
                _ => None,
            },
            chain,
            h2: session.alpn_protocol() == Some(b"h2"),
        };
        Ok((stream, secured))
    }

    /// Whether the peer is verified: its chain, or a fingerprint.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.is_verified
    }

    fn about(&self, chain: Vec<Vec<u8>>) -> Handshake<'_> {
        let asserted = self.shared.peer.asserted(&self.server_name).map(|name| name.to_str().into_owned());
        Handshake {
            chain,
            asserted,
            roots: self.shared.roots.as_deref(),
            has_default_roots: self.shared.has_default_roots,
        }
    }
}

impl fmt::Debug for TlsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shared, server_name, is_verified, .. } = self;
        f.debug_struct("TlsPlan")
            .field("shared", shared)
            .field("server_name", server_name)
            .field("is_verified", is_verified)
            .finish()
    }
}

/// The name that is sent, and checked where nothing else is asserted.
fn server_name(settings: &TlsSettings, host: &str) -> Result<ServerName<'static>, Error> {
    match &settings.server_hostname {
        Some(name) => verify::given_name(name, "serverHostname"),
        None => verify::reference(host).ok_or_else(|| {
            let message = format!("'{}' is no name that a certificate can have", quote(host.as_bytes()));
            Error::new(Kind::Tls, message).with_reason("ERR_TLS_CERT_ALTNAME_INVALID")
        }),
    }
}
