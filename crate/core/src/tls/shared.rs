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
use super::sessions::Sessions;
use super::trust::Trust;
use super::verify::{Peer, Verifier};

/// What equal settings share.
pub(super) struct Shared {
    pub(super) client: Arc<ClientConfig>,
    pub(super) peer: Peer,
    /// `None` where the chain is not checked.
    pub(super) roots: Option<Arc<RootCertStore>>,
    pub(super) has_default_roots: bool,
    sessions: Arc<Sessions>,
    clients: Mutex<Clients>,
}

/// The configuration once more for each client that wants to be told apart: all of it is shared but the compartment of
/// sessions.
#[derive(Default)]
struct Clients {
    /// By the digest of its name, which may hold credentials.
    known: HashMap<Key, Weak<ClientConfig>>,
    next: u64,
    /// How many there may be before it is seen who is gone.
    sweep_at: usize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("peer", &self.peer).field("roots", &self.roots).finish_non_exhaustive()
    }
}

type Key = [u8; 32];

static CONFIGURATIONS: LazyLock<Mutex<HashMap<Key, Weak<Shared>>>> = LazyLock::new(Mutex::default);

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
        let known = || CONFIGURATIONS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = known().get(&key).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        // Not under the lock: thousands of certificates take their time, and others have settings of their own.
        let shared = Arc::new(Self::new(settings, alpn, &trust, papers.as_ref())?);
        let mut configurations = known();
        if let Some(first) = configurations.get(&key).and_then(Weak::upgrade) {
            return Ok(first);
        }
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
        let sessions = Sessions::new();
        client.resumption = Resumption::store(sessions.compartment(0));
        client.enable_early_data = false;
        if let Some(path) = &settings.key_log_file {
            client.key_log = Arc::new(KeyLogFile::open(path)?);
        }
        let has_default_roots = settings.authorities.is_empty();
        let clients = Mutex::default();
        Ok(Self { client: Arc::new(client), peer, roots, has_default_roots, sessions, clients })
    }

    /// The configuration as the client of this name has it.
    pub(super) fn client_of(&self, name: &str) -> Arc<ClientConfig> {
        let key = Sha256::digest(name).into();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.known.get(&key).and_then(Weak::upgrade) {
            return client;
        }
        clients.next += 1;
        let mut client = (*self.client).clone();
        client.resumption = Resumption::store(self.sessions.compartment(clients.next));
        let client = Arc::new(client);
        if clients.known.len() >= clients.sweep_at {
            clients.known.retain(|_, client| client.strong_count() > 0);
            clients.sweep_at = (clients.known.len() * 2).max(LEAST_CLIENTS);
        }
        clients.known.insert(key, Arc::downgrade(&client));
        client
    }
}

/// Names that are kept before any of them is looked at again.
const LEAST_CLIENTS: usize = 64;

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
