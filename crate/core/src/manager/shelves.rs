//! The shelf that pools of a manager stand on: the one part of it that two threads see.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use ferropool_policy::environment::Rules;
use ferropool_policy::error::{Error, Kind};
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::proxy::{Protocol, Proxy, ProxySettings, Way};
use ferropool_policy::settings::{ManagerSettings, PoolSettings};
use ferropool_policy::shelf::{Canonical, PoolKey, Shelf};

use crate::client::request::ProxyChoice;
use crate::clock::now;
use crate::observe::stats::{PoolStats, Roster};
use crate::pool::{Blueprint, Via};
use crate::tls::{Alpn, TlsPlan};

/// The part of a manager that JavaScript's thread sees too.
pub struct Shelves {
    shelf: Mutex<Shelf<PoolKey, Arc<Shelved>>>,
    next: AtomicU32,
    pub(super) settings: ManagerSettings,
    /// The settings of its pools.
    pools: Arc<PoolSettings>,
    /// Of its pools' settings, in keys.
    text: Canonical,
    /// Of its calls.
    pub stats: Arc<PoolStats>,
    /// Of its pools.
    pub roster: Arc<Roster>,
    /// Here, and not with the I/O thread: should that fall, what was closed is not open again.
    pub(super) closed: AtomicBool,
    /// Of its first https pool.
    tls: OnceLock<TlsPlan>,
    /// The proxy of requests that name none.
    own: Option<Arc<Via>>,
    /// What the environment says, where the manager has no proxy of its own.
    rules: Option<Rules>,
    /// Proxies that requests or the environment named, by their URLs.
    named: Mutex<Shelf<Bytes, Arc<Via>>>,
    /// Of the first https proxy among those.
    proxy_tls: OnceLock<TlsPlan>,
}

/// Without what it knows: there are passwords among it.
impl fmt::Debug for Shelves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelves").field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// A pool, and how a request comes to its origin by it.
#[derive(Debug)]
pub struct Found {
    /// The pool.
    pub shelved: Arc<Shelved>,
    /// The pool that had to go for it.
    pub evicted: Option<Arc<Shelved>>,
    /// Whether it leads to a proxy that passes requests on.
    pub forwards: bool,
}

type Route = Option<(Arc<Via>, Way)>;

/// Why a pool is not to be had at once.
#[derive(Debug)]
pub(super) enum Hindered {
    /// These are to be read first.
    Unread(Files),
    /// It cannot be had at all.
    Refused(Error),
}

impl From<Error> for Hindered {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// What a manager reads once, with the first pool that needs it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Files {
    /// For TLS to origins.
    Origins,
    /// For TLS to proxies that requests or the environment name.
    Proxies,
}

/// A pool on the shelf; its connections are elsewhere.
#[derive(Debug)]
pub struct Shelved {
    /// Never given twice by a manager.
    pub id: u32,
    /// Where it leads.
    pub origin: Origin,
    /// What it counts.
    pub stats: Arc<PoolStats>,
    /// A dial plan is for one thread at a time.
    blueprint: Mutex<Blueprint>,
    /// Whether the manager keeps it; changed under the shelf's lock.
    pub(super) kept: AtomicBool,
}

impl Shelves {
    /// Of a manager with these settings, whose pools' are this text. The options that concern no host are checked.
    ///
    /// # Errors
    /// What a pool would be refused for.
    pub fn new(settings: ManagerSettings, text: Canonical) -> Result<Arc<Self>, Error> {
        let some = Origin { scheme: Scheme::Http, host: SOME_HOST.to_owned(), port: None };
        let pools = Arc::new(settings.pool.clone());
        let own = settings.pool.proxy.as_ref().map(|proxy| Via::new(proxy, "own", None)).transpose()?;
        let route = own.clone().map(|via| (Arc::clone(&via), via.proxy.way(some.scheme)));
        Blueprint::of(some, Arc::clone(&pools), route, None)?;
        if let Some(proxies) = &settings.proxies {
            Via::check(&proxies.headers)?;
        }
        let named = Mutex::new(Shelf::new((settings.num_pools as usize).max(1)));
        Ok(Arc::new(Self {
            shelf: Mutex::new(Shelf::new(settings.num_pools as usize)),
            next: AtomicU32::new(0),
            pools,
            own,
            rules: settings.environment.as_ref().map(Rules::of),
            named,
            proxy_tls: OnceLock::new(),
            settings,
            text,
            stats: Arc::new(PoolStats::new(now())),
            roster: Arc::default(),
            closed: AtomicBool::new(false),
            tls: OnceLock::new(),
        }))
    }

    /// The manager's own settings of pools.
    pub fn settings(&self) -> &PoolSettings {
        &self.settings.pool
    }

    /// The pool for an origin, made if there is none. `own` are settings that differ from the manager's, and their canonical
    /// text; `choice` is what the request says of proxies. Reads files, where they have not been read.
    ///
    /// # Errors
    /// What [`Blueprint::new`] refuses.
    pub fn take(
        &self,
        origin: &Origin,
        own: Option<(&PoolSettings, &Canonical)>,
        choice: Option<&ProxyChoice>,
    ) -> Result<Found, Error> {
        loop {
            match self.take_read(origin, own, choice) {
                Ok(found) => return Ok(found),
                Err(Hindered::Refused(error)) => return Err(error),
                Err(Hindered::Unread(files)) => self.read(files)?,
            }
        }
    }

    /// The same, where the manager's own files have been read.
    pub(super) fn take_read(
        &self,
        origin: &Origin,
        own: Option<(&PoolSettings, &Canonical)>,
        choice: Option<&ProxyChoice>,
    ) -> Result<Found, Hindered> {
        let route = self.route(origin, own.map(|(settings, _)| settings), choice)?;
        let forward = route.as_ref().filter(|(_, way)| *way == Way::Forward);
        // PROXY-02: whatever the host, its requests go to the proxy.
        let origin = forward.map_or_else(|| origin.clone(), |(via, _)| via.proxy.origin());
        let forwards = forward.is_some();
        let text = own.map_or(&self.text, |(_, text)| text);
        let via = route.as_ref().map(|(via, way)| via.key(*way));
        let key = PoolKey { origin, settings: text.clone(), via };
        let there = |kept: &mut Shelf<PoolKey, Arc<Shelved>>| {
            let shelved = Arc::clone(kept.get(&key)?);
            Some(Found { shelved, evicted: None, forwards })
        };
        if let Some(found) = there(&mut self.shelf()) {
            return Ok(found);
        }
        let is_secured = key.origin.scheme == Scheme::Https && !forwards;
        if own.is_none() && is_secured && self.tls.get().is_none() && self.pools.tls.has_reading() {
            return Err(Hindered::Unread(Files::Origins));
        }
        // Not under the lock: JavaScript's thread takes it too, and must not stand still for what this one does.
        let settings = own.map_or_else(|| Arc::clone(&self.pools), |(settings, _)| Arc::new(settings.clone()));
        // Files are read with the first https pool: the next thousand need not look at them again.
        let known = if own.is_none() { self.tls.get() } else { None };
        let blueprint = Blueprint::of(key.origin.clone(), settings, route, known)?;
        let knows_proxies = self.own.is_some() || self.rules.is_some();
        let blueprint = if knows_proxies { blueprint.beside_proxies() } else { blueprint };
        if let Some(tls) = blueprint.tls.as_ref().filter(|_| own.is_none()) {
            self.tls.get_or_init(|| tls.clone());
        }
        let mut kept = self.shelf();
        // The other thread may have been here meanwhile.
        if let Some(found) = there(&mut kept) {
            return Ok(found);
        }
        let made = Arc::new(Shelved {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            origin: key.origin.clone(),
            stats: Arc::clone(&blueprint.stats),
            blueprint: Mutex::new(blueprint),
            kept: AtomicBool::new(true),
        });
        let evicted = kept.put(key, Arc::clone(&made)).map(|(_, evicted)| evicted);
        if let Some(evicted) = &evicted {
            evicted.kept.store(false, Ordering::Relaxed);
        }
        Ok(Found { shelved: made, evicted, forwards })
    }

    /// Reads and understands files; what comes of it is known from then on.
    pub(super) fn read(&self, files: Files) -> Result<(), Error> {
        match files {
            Files::Origins => {
                let plan = TlsPlan::new(&self.pools.tls, SOME_HOST, Blueprint::alpn(&self.pools))?;
                self.tls.get_or_init(|| plan);
            }
            Files::Proxies => {
                let tls = self.settings.proxies.as_ref().map(|proxies| Arc::clone(&proxies.tls)).unwrap_or_default();
                let plan = TlsPlan::new(&tls, SOME_HOST, Alpn::Http1)?;
                self.proxy_tls.get_or_init(|| plan);
            }
        }
        Ok(())
    }

    /// The way to an origin, chosen anew for each hop (THR-612): what the request says, or the manager, or the environment.
    fn route(
        &self,
        origin: &Origin,
        own: Option<&PoolSettings>,
        choice: Option<&ProxyChoice>,
    ) -> Result<Route, Hindered> {
        let usual = self.settings.pool.proxy.as_ref();
        let via = match (choice, own.map(|settings| settings.proxy.as_ref())) {
            (Some(ProxyChoice::Direct), _) => None,
            (Some(ProxyChoice::Url(url)), _) => Some(self.named(url)?),
            (None, Some(Some(proxy))) if usual != Some(proxy) => Some(Via::new(proxy, "its", None)?),
            // It was taken away.
            (None, Some(None)) if usual.is_some() => None,
            (None, _) => match (&self.own, self.rules.as_ref().and_then(|rules| rules.choose(origin))) {
                (Some(own), _) => Some(Arc::clone(own)),
                (None, Some(url)) => Some(self.named(&Bytes::copy_from_slice(url.as_bytes()))?),
                (None, None) => None,
            },
        };
        Ok(via.map(|via| (Arc::clone(&via), via.proxy.way(origin.scheme))))
    }

    /// The proxy of this URL, with what the manager knows for all that have only one.
    fn named(&self, url: &Bytes) -> Result<Arc<Via>, Hindered> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(via) = named.get(url) {
            return Ok(Arc::clone(via));
        }
        let text =
            std::str::from_utf8(url).map_err(|_| Error::new(Kind::InvalidUrl, "the proxy's URL is not valid UTF-8"))?;
        let usual = self.settings.proxies.as_deref().cloned().unwrap_or_default();
        let settings = ProxySettings { url: text.to_owned(), ..usual };
        let known = self.proxy_tls.get();
        if known.is_none() && settings.tls.has_reading() && Proxy::of(&settings)?.protocol == Protocol::Https {
            return Err(Hindered::Unread(Files::Proxies));
        }
        let via = Via::new(&settings, "named", known)?;
        if let Some(tls) = via.tls() {
            self.proxy_tls.get_or_init(|| tls.clone());
        }
        // A copy: the request's own lies in the memory of everything that was asked with it.
        named.put(Bytes::copy_from_slice(url), Arc::clone(&via));
        Ok(via)
    }

    /// The pools on the shelf, the least recently used first.
    pub fn list(&self) -> Vec<Arc<Shelved>> {
        self.shelf().iter().map(|(_, shelved)| Arc::clone(shelved)).collect()
    }

    /// Takes all of them off.
    pub fn clear(&self) -> Vec<Arc<Shelved>> {
        let mut kept = self.shelf();
        let all = kept.clear();
        for shelved in &all {
            shelved.kept.store(false, Ordering::Relaxed);
        }
        all
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf<PoolKey, Arc<Shelved>>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelved {
    pub(super) fn blueprint(&self) -> Blueprint {
        self.blueprint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A host that stands for any.
const SOME_HOST: &str = "localhost";
