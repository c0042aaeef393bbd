//! Manners towards hosts, where connections are handed out, so that retries and redirects mind them too (`rate`,
//! `pauseOn`).
//!
//! Calls to one host stand in one line over all pools of the group. Whoever is first waits for its time without holding
//! anything, then asks for a slot, and only then is its attempt counted: so neither connections nor attempts pile up
//! behind a slow or paused host. To dial takes its time, and not always the same: turns that were given one by one would
//! be used all at once. So an attempt is paced once more when it has its connection, which costs nothing but after such
//! a jam, and nobody leaves the line while there is one. Who stands in line waits as one does who waits for a connection: it is counted, and
//! `maxWaiting` bounds it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ferropool_policy::error::Error;
use ferropool_policy::manners::Manners;
use ferropool_policy::settings::PoolSettings;
use tokio::sync::Mutex;
use tokio::time::{sleep_until, timeout_at};

use super::slot::{Deadline, late};
use super::{Pool, closed};
use crate::clock::now;

/// See the module.
pub(super) struct Gate {
    manners: RefCell<Manners>,
    /// The pace of those who have their connections.
    departures: RefCell<Manners>,
    pause_on: Vec<u16>,
    rate: Option<f64>,
    /// tokio's lock serves in the order of asking, and lets go of whoever gives up.
    lines: RefCell<HashMap<String, Rc<Mutex<()>>>>,
}

impl Gate {
    /// `None` where these settings know no manners.
    pub(super) fn new(settings: &PoolSettings) -> Option<Self> {
        let has_manners = settings.rate.is_some() || !settings.pause_on.is_empty();
        has_manners.then(|| Self {
            manners: RefCell::new(Manners::new(settings.rate)),
            departures: RefCell::new(Manners::new(settings.rate)),
            pause_on: settings.pause_on.clone(),
            rate: settings.rate,
            lines: RefCell::default(),
        })
    }

    /// What `take` takes of the pool, once this host may be asked; `put` gives it back.
    pub(super) async fn pass<T>(
        &self,
        pool: &Rc<Pool>,
        host: &str,
        until: Option<Deadline>,
        take: impl AsyncFn() -> Result<T, Error>,
        put: impl Fn(T),
    ) -> Result<T, Error> {
        let line = self.line(host);
        let passing = async {
            let mut standing = Standing { pool, counted: false };
            let turn = if let Ok(turn) = line.lock.try_lock() {
                turn
            } else {
                standing.begin()?;
                line.lock.lock().await
            };
            let slot = loop {
                if let Some(at) = self.look(host) {
                    standing.begin()?;
                    sleep_until(at.into()).await;
                    continue;
                }
                standing.end();
                let slot = take().await?;
                // The host may have asked for a pause while the slot was waited for.
                if self.manners.borrow_mut().ask(host, now()).is_none() {
                    break slot;
                }
                put(slot);
            };
            drop(turn);
            Ok(slot)
        };
        bounded(pool, until, passing, |end| self.late(pool, host, end)).await
    }

    /// Waits until an attempt that has its connection may use it. False if its host asked for a pause meanwhile: then
    /// the attempt is to hold nothing, and to stand in line again.
    pub(super) async fn depart(&self, pool: &Pool, host: &str, until: Option<Deadline>) -> Result<bool, Error> {
        let departing = async {
            loop {
                let now = now();
                if self.manners.borrow().paused_until(host, now).is_some() {
                    return Ok(false);
                }
                let next = self.departures.borrow_mut().ask(host, now);
                let Some(at) = next else { return Ok(true) };
                sleep_until(at.into()).await;
            }
        };
        bounded(pool, until, departing, |end| self.late(pool, host, end)).await
    }

    /// What a call waited for in vain.
    fn late(&self, pool: &Pool, host: &str, end: Deadline) -> Error {
        let now = now();
        if let Some(until) = self.manners.borrow().paused_until(host, now) {
            let left = until.saturating_duration_since(now).as_secs_f64();
            let asked: Vec<_> = self.pause_on.iter().map(u16::to_string).collect();
            let asked = asked.join(", ");
            return late(format!("{host} is paused for another {left:.1} s (pauseOn: {asked}), and {end} is over."));
        }
        match self.rate {
            Some(rate) if self.look(host).is_some() => late(format!(
                "{host} may be asked at most {rate} times a second (rate), and the turn did not come within {end}."
            )),
            // Who is first in line waits for a connection.
            _ => pool.crowded(end),
        }
    }

    /// Until when the first in line has to wait for its turn, or for the jam of those before it.
    fn look(&self, host: &str) -> Option<Instant> {
        let now = now();
        self.manners.borrow().look(host, now).max(self.departures.borrow().look(host, now))
    }

    /// Pauses a host whose answer asks for it; true if that is worth telling. Of several answers that ask for the same
    /// pause each one that comes later asks for a little more: it is told once.
    pub(super) fn pause(&self, host: &str, status: u16, span: Duration) -> bool {
        let now = now();
        let Some(until) = now.checked_add(span).filter(|&until| until > now && self.heeds(status)) else {
            return false;
        };
        let mut manners = self.manners.borrow_mut();
        let before = manners.paused_until(host, now);
        manners.pause(host, until) && before.is_none_or(|before| until - before >= LONGER)
    }

    /// Whether an answer with this status may ask for a pause.
    pub(super) fn heeds(&self, status: u16) -> bool {
        self.pause_on.contains(&status)
    }

    fn line<'g>(&'g self, host: &'g str) -> Line<'g> {
        let mut lines = self.lines.borrow_mut();
        let lock = match lines.get(host) {
            Some(lock) => Rc::clone(lock),
            None => Rc::clone(lines.entry(host.to_owned()).or_default()),
        };
        Line { gate: self, host, lock }
    }
}

/// What ends when the pool does, and not later than `until`.
async fn bounded<T>(
    pool: &Pool,
    until: Option<Deadline>,
    waiting: impl Future<Output = Result<T, Error>>,
    late: impl FnOnce(Deadline) -> Error,
) -> Result<T, Error> {
    let waiting = async {
        tokio::select! {
            biased;
            () = pool.until_closed() => Err(closed()),
            ended = waiting => ended,
        }
    };
    match until {
        None => waiting.await,
        Some(end) => timeout_at(end.at.into(), waiting).await.unwrap_or_else(|_| Err(late(end))),
    }
}

/// The line of a host. One in which nobody stands is not kept, however its last call left.
struct Line<'g> {
    gate: &'g Gate,
    host: &'g str,
    lock: Rc<Mutex<()>>,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        // The map's and this one.
        if Rc::strong_count(&self.lock) == 2 {
            self.gate.lines.borrow_mut().remove(self.host);
        }
    }
}

/// A pause that grows by less is the same: Retry-After has whole seconds.
const LONGER: Duration = Duration::from_secs(1);

/// A call that stands in a host's line. Dropped, it does no more.
struct Standing<'p> {
    pool: &'p Pool,
    counted: bool,
}

impl Standing<'_> {
    /// It has to wait.
    fn begin(&mut self) -> Result<(), Error> {
        if !self.counted {
            let (pool, most) = (self.pool, self.pool.settings.max_waiting);
            if most != 0 && pool.in_line.get() + pool.figures().waiting >= most {
                return Err(pool.too_many());
            }
            pool.in_line.set(pool.in_line.get() + 1);
            pool.sync();
            self.counted = true;
        }
        Ok(())
    }

    /// From here on the pool counts it, if it waits for a connection.
    fn end(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.pool.in_line.set(self.pool.in_line.get() - 1);
            self.pool.sync();
        }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
