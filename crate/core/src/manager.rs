//! A manager: pools by origin, made when they are needed, forgotten when they have not been for longest.
//!
//! Its shelf is the one part that two threads see: the I/O thread, where requests look pools up, and JavaScript's, where
//! somebody holds one by name. A lock that nobody contends for guards it; connections live on the I/O thread alone.

mod shelves;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::origin::Origin;
use ferropool_policy::retry::Retry;
use ferropool_policy::settings::Timeouts;
use ferropool_policy::{query, url};
use tokio::sync::watch;

use shelves::{Files, Hindered};
pub use shelves::{Found, Shelved, Shelves};

use crate::client::request::Request;
use crate::clock::now;
use crate::observe::stats::PoolStats;
use crate::pool::{Call, CloseReport, Group, Place, Pool, Shared, Stir};

/// See the module.
pub struct Manager {
    shelves: Arc<Shelves>,
    group: Rc<Group>,
    shared: Rc<Shared>,
    /// What its requests are judged by that bring nothing of their own.
    retry: Rc<Retry>,
    /// By their number on the shelf.
    pools: RefCell<HashMap<u32, Rc<Pool>>>,
    /// Files that are being read, whoever waits for it.
    reading: Readings,
}

/// What came of reading, for each kind of files, once it is done.
type Readings = [RefCell<Option<watch::Receiver<Option<Result<(), Error>>>>>; 2];

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
        let made =
            Rc::new(Self { shelves, group, shared, retry, pools: RefCell::default(), reading: Readings::default() });
        let manager = Rc::downgrade(&made);
        made.group.hear(Box::new(move |member, stir| match (manager.upgrade(), stir) {
            (Some(manager), Stir::Rests) => manager.rests(member),
            (Some(manager), Stir::Wakes) => manager.wakes(member),
            (None, _) => {}
        }));
        made
    }

    /// A pool has no connection, and nobody who waits for one. With thousands of them it is let go; it stays on the shelf, and
    /// is there again with its next request.
    fn rests(&self, id: u32) {
        let Ok(mut pools) = self.pools.try_borrow_mut() else { return };
        let gone = if pools.len() > MOST_AT_REST { pools.remove(&id) } else { None };
        drop(pools);
        if let Some(pool) = &gone {
            pool.put(Place::LetGo);
        }
        // Whoever told of it holds it too.
        drop(gone);
    }

    /// Somebody held it all the while: its connections are the manager's to keep, and to close when it is forgotten.
    fn wakes(&self, id: u32) {
        let (Some(pool), Ok(mut pools)) = (self.group.member(id), self.pools.try_borrow_mut()) else { return };
        pool.put(Place::Kept);
        pools.insert(id, pool);
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
            pool.put(Place::Kept);
            self.pools.borrow_mut().insert(shelved.id, Rc::clone(&pool));
        }
        Ok(pool)
    }

    /// A pool is off the shelf: idle connections close, calls in flight go on, and whoever holds it may use it (MGR-04).
    pub fn forget(&self, id: u32) {
        let kept = self.pools.borrow_mut().remove(&id);
        // One that was let go may be held by somebody.
        if let Some(pool) = kept.or_else(|| self.group.member(id)) {
            pool.put(Place::Elsewhere);
            pool.close_idle();
        }
    }

    fn is_closed(&self) -> bool {
        self.shelves.closed.load(Ordering::Relaxed)
    }

    /// Has files read, once for all who wait for it, and on a thread of its own: thousands of certificates take tens of
    /// milliseconds, in which this one has others to serve.
    async fn read(&self, files: Files) -> Result<(), Error> {
        let reading = &self.reading[files as usize];
        // What has ended, however it did, is not asked again: files may have changed.
        let running =
            reading.borrow().clone().filter(|running| running.borrow().is_none() && running.has_changed().is_ok());
        let mut hears = if let Some(running) = running {
            running
        } else {
            let (told, hears) = watch::channel(None);
            let shelves = Arc::clone(&self.shelves);
            let work = move || drop(told.send(Some(shelves.read(files))));
            if thread::Builder::new().name(READER_NAME.to_owned()).spawn(work).is_err() {
                // There is no thread to be had.
                return self.shelves.read(files);
            }
            reading.replace(Some(hears.clone()));
            hears
        };
        match hears.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(Error::new(Kind::Internal, "ferropool panicked while it read files; please report it")),
        }
    }

    fn hop(&self, request: &Request) -> Result<Hop, Hindered> {
        if self.is_closed() {
            return Err(Error::new(Kind::PoolClosed, "The manager is closed.").in_phase(Phase::Pool).into());
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
        let Found { shelved, evicted, forwards } = self.shelves.take_read(&origin, None, request.proxy.as_ref())?;
        let pool = self.pool(&shelved)?;
        if let Some(evicted) = evicted {
            self.forget(evicted.id);
        }
        let path = parsed.request_uri();
        if !forwards {
            return Ok(Hop { pool, target: Some(Bytes::from(path)), host: None });
        }
        let host = format!("{}:{}", origin.host, origin.effective_port());
        Ok(Hop { pool, target: Some(Bytes::from(origin.url_of(&path))), host: Some(host.into()) })
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

/// Pools without a connection that are kept alive: 20,000 ways through proxies cost twice as much where all of them are
/// (ARCHITECTURE, "What turned out differently").
const MOST_AT_REST: usize = 256;

/// Linux shows 15 bytes of it.
const READER_NAME: &str = "ferropool-files";

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
    /// `host:port` that is asked, where the pool leads to a proxy that passes requests on.
    pub host: Option<Rc<str>>,
}

impl Hop {
    /// `host:port` that is asked.
    pub(crate) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or(&self.pool.name)
    }
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
            Self::Pool(pool) => pool.retry(),
            Self::Manager(manager) => &manager.retry,
        }
    }

    /// Whether a redirect must stay with the host.
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self, Self::Pool(_))
    }

    /// The pool for what is asked for now; `followed` if an answer led there.
    pub(crate) async fn hop(&self, request: &Request, followed: bool) -> Result<Hop, Error> {
        match self {
            Self::Manager(manager) => loop {
                match manager.hop(request) {
                    Ok(hop) => return Ok(hop),
                    Err(Hindered::Refused(error)) => return Err(error),
                    // Boxed: its state would make that of every call larger.
                    Err(Hindered::Unread(files)) => Box::pin(manager.read(files)).await?,
                }
            },
            Self::Pool(_) if request.proxy.is_some() => Err(Error::new(
                Kind::InvalidOption,
                "a pool's way is chosen when it is made: give it 'proxy', or ask a manager",
            )),
            Self::Pool(pool) => {
                let target = if followed { own_target(pool, &request.url)? } else { None };
                Ok(Hop { pool: Rc::clone(pool), target, host: None })
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
    Ok((origin == pool.origin && !pool.is_forwarded()).then(|| Bytes::from(parsed.request_uri())))
}
