//! Sessions to resume, in compartments: what is met in one is never offered in another.
//!
//! A ticket tells its server that it is the same client again. Whoever takes another proxy, or another address of his own, for
//! each request does not want that told (THR-323), though all of it has one configuration. rustls' own store knows
//! servers alone.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls_pki_types::ServerName;

/// The sessions of a configuration.
pub(super) struct Sessions(Mutex<LruCache<(u64, ServerName<'static>), Met>>);

/// What is known of a server.
#[derive(Default)]
struct Met {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// The oldest first; each is used once (RFC 8446 appendix C.4).
    tls13: VecDeque<Tls13ClientSessionValue>,
}

/// One client, as its servers see it.
#[derive(Debug)]
pub(super) struct Compartment {
    sessions: Arc<Sessions>,
    number: u64,
}

impl Sessions {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(LruCache::new(SERVERS))))
    }

    /// A compartment of this number, which stands for one client.
    pub(super) fn compartment(self: &Arc<Self>, number: u64) -> Arc<Compartment> {
        Arc::new(Compartment { sessions: Arc::clone(self), number })
    }

    fn all(&self) -> MutexGuard<'_, LruCache<(u64, ServerName<'static>), Met>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Compartment {
    fn key(&self, server: &ServerName<'_>) -> (u64, ServerName<'static>) {
        (self.number, server.to_owned())
    }

    fn meet(&self, server: ServerName<'static>, edit: impl FnOnce(&mut Met)) {
        edit(self.sessions.all().get_or_insert_mut((self.number, server), Met::default));
    }
}

impl ClientSessionStore for Compartment {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.meet(server, |met| met.group = Some(group));
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.all().get(&self.key(server))?.group
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.meet(server, |met| met.tls12 = Some(session));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.sessions.all().get(&self.key(server))?.tls12.clone()
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        if let Some(met) = self.sessions.all().get_mut(&self.key(server)) {
            met.tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.meet(server, |met| {
            if met.tls13.len() == TICKETS {
                met.tls13.pop_front();
            }
            met.tls13.push_back(ticket);
        });
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.all().get_mut(&self.key(server))?.tls13.pop_back()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("servers", &self.all().len()).finish()
    }
}

/// Servers, of all compartments together: as many as were met last, since a ticket is some 2 KiB, mostly the certificates that
/// were checked.
const SERVERS: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// Of one server. Most send two with a handshake, and each is used once.
const TICKETS: usize = 4;
