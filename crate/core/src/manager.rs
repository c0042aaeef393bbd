//! A manager: pools by origin, made when they are needed, forgotten when they have not been for longest.
//!
//! Its shelf is the one part that two threads see: the I/O thread, where requests look pools up, and JavaScript's, where
//! somebody holds one by name. A lock that nobody contends for guards it; connections live on the I/O thread alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::origin::{Origin, Scheme};
use ferropool_policy::retry::Retry;
use ferropool_policy::settings::{ManagerSettings, PoolSettings, Timeouts};
use ferropool_policy::shelf::{Canonical, PoolKey, Shelf};
use ferropool_policy::{query, url};

use crate::client::request::Request;
use crate::clock::now;
use crate::observe::stats::{PoolStats, Roster};
use crate::pool::{Blueprint, Call, CloseReport, Group, Pool, Shared};
use crate::tls::TlsPlan;

/// The part of a manager that JavaScript's thread sees too.
#[derive(Debug)]
pub struct Shelves {
    shelf: Mutex<Shelf<PoolKey, Arc<Shelved>>>,
    next: AtomicU32,
    settings: ManagerSettings,
    /// Of its pools' settings, in keys.
    text: Canonical,
    /// Of its calls.
    pub stats: Arc<PoolStats>,
    /// Of its pools.
    pub roster: Arc<Roster>,
    /// Here, and not with the I/O thread: should that fall, what was closed is not open again.
    closed: AtomicBool,
    /// Of its first https pool.
    tls: OnceLock<TlsPlan>,
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
    kept: AtomicBool,
}

impl Shelves {
    /// Of a manager with these settings, whose pools' are this text. The options that concern no host are checked.
    ///
    /// # Errors
    /// What a pool would be refused for.
    pub fn new(settings: ManagerSettings, text: Canonical) -> Result<Arc<Self>, Error> {
        let some = Origin { scheme: Scheme::Http, host: "localhost".to_owned(), port: None };
        Blueprint::of(some, settings.pool.clone())?;
        Ok(Arc::new(Self {
            shelf: Mutex::new(Shelf::new(settings.num_pools as usize)),
            next: AtomicU32::new(0),
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

    /// The pool for an origin, made if there is none, and the pool that had to go for it. `own` are settings that differ
    /// from the manager's, and their canonical text.
    ///
    /// # Errors
    /// What [`Blueprint::of`] refuses.
    pub fn take(
        &self,
        origin: &Origin,
        own: Option<(&PoolSettings, &Canonical)>,
    ) -> Result<(Arc<Shelved>, Option<Arc<Shelved>>), Error> {
        let text = own.map_or(&self.text, |(_, text)| text);
        let key = PoolKey { origin: origin.clone(), settings: text.clone() };
        let mut kept = self.shelf();
        if let Some(there) = kept.get(&key) {
            return Ok((Arc::clone(there), None));
        }
        let settings = own.map_or(&self.settings.pool, |(settings, _)| settings).clone();
        // Files are read with the first https pool: the next thousand need not look at them again.
        let known = if own.is_none() { self.tls.get() } else { None };
        let blueprint = Blueprint::like(origin.clone(), settings, known)?;
        if let Some(tls) = blueprint.tls.as_ref().filter(|_| own.is_none()) {
            self.tls.get_or_init(|| tls.clone());
        }
        let made = Arc::new(Shelved {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            origin: origin.clone(),
            stats: Arc::clone(&blueprint.stats),
            blueprint: Mutex::new(blueprint),
            kept: AtomicBool::new(true),
        });
        let evicted = kept.put(key, Arc::clone(&made)).map(|(_, evicted)| evicted);
        if let Some(evicted) = &evicted {
            evicted.kept.store(false, Ordering::Relaxed);
        }
        Ok((made, evicted))
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
    fn blueprint(&self) -> Blueprint {
        self.blueprint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// See the module.
pub struct Manager {
    shelves: Arc<Shelves>,
    group: Rc<Group>,
    shared: Rc<Shared>,
    /// What its requests are judged by that bring nothing of their own.
    retry: Rc<Retry>,
    /// By their number on the shelf.
    pools: RefCell<HashMap<u32, Rc<Pool>>>,
}

impl Manager {
    /// Brings a manager to life on this thread; its user knows it by this handle.
    pub fn open(shelves: Arc<Shelves>, shared: Rc<Shared>, handle: u32) -> Rc<Self> {
        let settings = &shelves.settings;
        let group = Group::new(
            Arc::clone(&shelves.stats),
            Some(Arc::clone(&shelves.roster)),
            handle,
            settings.max_total_connections,
            &settings.pool,
        );
        let retry = Rc::new(settings.pool.retries.clone().unwrap_or_else(Retry::usual));
        Rc::new(Self { shelves, group, shared, retry, pools: RefCell::default() })
    }

    /// The live pool of one on the shelf, or of one that was on it: whoever holds such a pool goes on with it.
    ///
    /// # Errors
    /// None that the shelf would not have met.
    pub fn pool(&self, shelved: &Shelved) -> Result<Rc<Pool>, Error> {
        // One that was forgotten and lives on is the same pool all the same.
        if let Some(pool) = self.group.member(shelved.id) {
            return Ok(pool);
        }
        let pool = Pool::join(shelved.blueprint(), Rc::clone(&self.shared), Rc::clone(&self.group), shelved.id)?;
        if self.is_closed() {
            pool.close_now();
        } else if shelved.kept.load(Ordering::Relaxed) {
            // Should the other thread take it off the shelf now, its word of that comes after this.
            pool.set_shelved(true);
            self.pools.borrow_mut().insert(shelved.id, Rc::clone(&pool));
        }
        Ok(pool)
    }

    /// A pool is off the shelf: idle connections close, calls in flight go on, and whoever holds it may use it (MGR-04).
    pub fn forget(&self, id: u32) {
        let forgotten = self.pools.borrow_mut().remove(&id);
        if let Some(pool) = forgotten {
            pool.set_shelved(false);
            pool.close_idle();
        }
    }

    fn is_closed(&self) -> bool {
        self.shelves.closed.load(Ordering::Relaxed)
    }

    fn hop(&self, request: &Request) -> Result<Hop, Error> {
        if self.is_closed() {
            return Err(Error::new(Kind::PoolClosed, "The manager is closed.").in_phase(Phase::Pool));
        }
        let text = std::str::from_utf8(&request.url)
            .map_err(|_| Error::new(Kind::InvalidUrl, "the URL is not valid UTF-8"))?;
        let parsed = if request.fields.is_empty() {
            url::parse(text)?
        } else {
            let pairs = query::encode(request.fields.iter().map(|(name, value)| (&**name, &**value)));
            url::parse(&query::join(text, &pairs))?
        };
        let origin = Origin::from_absolute_url(&parsed)?;
        let (shelved, evicted) = self.shelves.take(&origin, None)?;
        let pool = self.pool(&shelved)?;
        if let Some(evicted) = evicted {
            self.forget(evicted.id);
        }
        Ok(Hop { pool, target: Some(Bytes::from(parsed.request_uri())) })
    }

    /// Forgets every pool (MGR-05).
    pub fn clear(&self) {
        for shelved in self.shelves.clear() {
            self.forget(shelved.id);
        }
    }

    /// Closes every pool, those that were forgotten and are still held too, and waits for their leases until `until`.
    pub async fn close(&self, until: Option<Instant>) -> CloseReport {
        let began = now();
        self.shelves.closed.store(true, Ordering::Relaxed);
        self.shelves.clear();
        let members = self.group.members();
        let closing: Vec<_> = members.into_iter().map(|pool| (pool.close_now(), pool)).collect();
        self.pools.take();
        let mut report = CloseReport::default();
        let mut draining = tokio::task::JoinSet::new();
        for (before, pool) in closing {
            draining.spawn_local(async move { pool.drain(before, until).await });
        }
        while let Some(drained) = draining.join_next().await {
            if let Ok(one) = drained {
                report.closed += one.closed;
                report.drained += one.drained;
                report.forced += one.forced;
            }
        }
        report.elapsed = now().saturating_duration_since(began);
        report
    }
}

/// Whom a call is made to.
#[derive(Clone)]
pub enum Target {
    /// One pool: its redirects stay with its own host.
    Pool(Rc<Pool>),
    /// A manager: each hop goes to the pool of its URL.
    Manager(Rc<Manager>),
}

/// Where a hop of a call goes.
pub struct Hop {
    /// Its pool.
    pub pool: Rc<Pool>,
    /// What stands in the request line, where that is not for the request's own URL to say.
    pub target: Option<Bytes>,
}

impl Target {
    fn group(&self) -> &Rc<Group> {
        match self {
            Self::Pool(pool) => &pool.group,
            Self::Manager(manager) => &manager.group,
        }
    }

    /// Enters a call among those in flight.
    pub(crate) fn begin_call(&self, started: Instant) -> Call {
        self.group().begin_call(started)
    }

    /// Where calls are counted.
    pub(crate) fn stats(&self) -> &Arc<PoolStats> {
        &self.group().stats
    }

    /// The time-outs of a call that brings none.
    pub(crate) fn timeout(&self) -> &Timeouts {
        match self {
            Self::Pool(pool) => &pool.settings.timeout,
            Self::Manager(manager) => &manager.shelves.settings.pool.timeout,
        }
    }

    /// What a call is judged by that brings nothing of its own.
    pub(crate) fn retry(&self) -> &Rc<Retry> {
        match self {
            Self::Pool(pool) => &pool.retry,
            Self::Manager(manager) => &manager.retry,
        }
    }

    /// Whether a redirect must stay with the host.
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self, Self::Pool(_))
    }

    /// The pool for what is asked for now; `followed` if an answer led there.
    pub(crate) fn hop(&self, request: &Request, followed: bool) -> Result<Hop, Error> {
        match self {
            Self::Manager(manager) => manager.hop(request),
            Self::Pool(pool) => {
                let target = if followed { own_target(pool, &request.url)? } else { None };
                Ok(Hop { pool: Rc::clone(pool), target })
            }
        }
    }

    /// Whether a function of the caller's knows addresses.
    pub fn asks(&self) -> bool {
        match self {
            Self::Pool(pool) => pool.settings.resolve_asks.is_some(),
            Self::Manager(manager) => manager.shelves.settings.pool.resolve_asks.is_some(),
        }
    }

    /// The pool, where it is one.
    pub fn as_pool(&self) -> Option<&Rc<Pool>> {
        match self {
            Self::Pool(pool) => Some(pool),
            Self::Manager(_) => None,
        }
    }
}

/// What a pool sends for an absolute URL that it was led to: the plain path, which every server understands; the whole URL
/// only where it names another host.
fn own_target(pool: &Pool, url: &Bytes) -> Result<Option<Bytes>, Error> {
    let text = std::str::from_utf8(url).map_err(|_| Error::new(Kind::InvalidUrl, "the URL is not valid UTF-8"))?;
    let parsed = url::parse(text)?;
    let origin = Origin::from_absolute_url(&parsed)?;
    Ok((origin == pool.origin).then(|| Bytes::from(parsed.request_uri())))
}
