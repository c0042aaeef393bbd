//! One configuration for equal settings, for the whole process: its sessions resume across pools, and never across
//! settings.
//!
//! Equal means: the same options, and the same contents of the files that they name. Whatever decides whether a peer is
//! accepted is in the key, the name that is asserted too, since a resumed handshake asks no verifier. The name that is
//! dialled is not: rustls keeps sessions by it.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use ferropool_policy::error::Error;
use ferropool_policy::tls::{CertReqs, TlsSettings};
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest as _, Sha256};

use super::Alpn;
use super::identity::Papers;
use super::keylog::KeyLogFile;
use super::provider;
use super::trust::Trust;
use super::verify::{Peer, Verifier};

/// What equal settings share.
pub(super) struct Shared {
    pub(super) client: Arc<ClientConfig>,
    pub(super) peer: Peer,
    /// `None` where the chain is not checked.
    pub(super) roots: Option<Arc<RootCertStore>>,
    pub(super) has_default_roots: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("peer", &self.peer).field("roots", &self.roots).finish_non_exhaustive()
    }
}

type Key = [u8; 32];

static CONFIGURATIONS: LazyLock<Mutex<HashMap<Key, Weak<Shared>>>> = LazyLock::new(Mutex::default);

/// rustls keeps eight tickets a server and counts in tickets: these are 256 servers.
const SESSIONS: usize = 2048;

impl Shared {
    /// The configuration for these settings: the one that there is, or a new one.
    ///
    /// # Errors
    /// Whatever can be wrong with options and files.
    pub(super) fn of(settings: &TlsSettings, alpn: Alpn) -> Result<Arc<Self>, Error> {
        let trust = Trust::read(settings)?;
        let papers = settings.identity.as_ref().map(Papers::read).transpose()?;
        let mut key = Digester(Sha256::new());
        (settings, alpn, &trust, &papers).hash(&mut key);
        let key = key.0.finalize().into();
        let mut configurations = CONFIGURATIONS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = configurations.get(&key).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        let shared = Arc::new(Self::new(settings, alpn, &trust, papers.as_ref())?);
        configurations.retain(|_, shared| shared.strong_count() > 0);
        configurations.insert(key, Arc::downgrade(&shared));
        Ok(shared)
    }

    fn new(settings: &TlsSettings, alpn: Alpn, trust: &Trust, papers: Option<&Papers>) -> Result<Self, Error> {
        let provider = Arc::new(provider::provider(settings)?);
        let versions = provider::versions(settings, &provider)?;
        let peer = Peer::of(settings)?;
        // Made in either case: a file that is wrong is a mistake even where nobody is verified.
        let (roots, named) = trust.roots()?;
        let roots = (settings.cert_reqs == CertReqs::Required).then(|| Arc::new(roots));
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Verifier { roots: roots.clone(), named, peer: peer.clone(), algorithms };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| {
                Error::new(ferropool_policy::error::Kind::Tls, error.to_string()).with_reason("ERR_TLS_CIPHER")
            })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut client = match papers {
            Some(papers) => {
                let key = papers.certified_key(&provider)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
            None => builder.with_no_client_auth(),
        };
        client.alpn_protocols = alpn.offer();
        client.resumption = Resumption::in_memory_sessions(SESSIONS);
        client.enable_early_data = false;
        if let Some(path) = &settings.key_log_file {
            client.key_log = Arc::new(KeyLogFile::open(path)?);
        }
        let has_default_roots = settings.authorities.is_empty();
        Ok(Self { client: Arc::new(client), peer, roots, has_default_roots })
    }
}

/// A digest of what `Hash` would hash: 64 bits of it would not do where a collision means a wrong configuration.
pub(super) struct Digester(pub(super) Sha256);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
