//! Manners towards hosts, where connections are handed out, so that retries and redirects mind them too (`rate`,
//! `pauseOn`).
//!
//! Calls to one host stand in one line over all pools of the group. Whoever is first waits for its time without holding
//! anything, then asks for a slot, and only then is its attempt counted: so neither connections nor attempts pile up
//! behind a slow or paused host.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ferropool_policy::error::Error;
use ferropool_policy::manners::Manners;
use ferropool_policy::settings::PoolSettings;
use tokio::sync::Mutex;
use tokio::time::{sleep_until, timeout_at};

use super::slot::{Slot, empty};
use super::{Pool, Wanted, closed};
use crate::clock::now;

/// See the module.
pub(super) struct Gate {
    manners: RefCell<Manners>,
    pause_on: Vec<u16>,
    /// tokio's lock serves in the order of asking, and lets go of whoever gives up.
    lines: RefCell<HashMap<String, Rc<Mutex<()>>>>,
}

impl Gate {
    /// `None` where these settings know no manners.
    pub(super) fn new(settings: &PoolSettings) -> Option<Self> {
        let has_manners = settings.rate.is_some() || !settings.pause_on.is_empty();
        has_manners.then(|| Self {
            manners: RefCell::new(Manners::new(settings.rate)),
            pause_on: settings.pause_on.clone(),
            lines: RefCell::default(),
        })
    }

    /// A slot of the pool, once its host may be asked.
    pub(super) async fn pass(&self, pool: &Rc<Pool>, until: Option<Instant>, wanted: Wanted) -> Result<Slot, Error> {
        let line = self.line(&pool.name);
        let passing = async {
            let turn = line.lock().await;
            let slot = loop {
                let next = self.manners.borrow().look(&pool.name, now());
                if let Some(at) = next {
                    sleep_until(at.into()).await;
                    continue;
                }
                let slot = pool.slot(until, wanted).await?;
                // The host may have asked for a pause while the slot was waited for.
                if self.manners.borrow_mut().ask(&pool.name, now()).is_none() {
                    break slot;
                }
                pool.return_slot(slot);
            };
            drop(turn);
            Ok(slot)
        };
        let passing = async {
            tokio::select! {
                biased;
                () = pool.until_closed() => Err(closed()),
                passed = passing => passed,
            }
        };
        let passed = match until {
            None => passing.await,
            Some(at) => timeout_at(at.into(), passing).await.unwrap_or_else(|_| Err(empty())),
        };
        drop(line);
        self.tidy(&pool.name);
        passed
    }

    /// Pauses a host whose answer asks for it; true if it was not paused so long before.
    pub(super) fn pause(&self, host: &str, status: u16, span: Duration) -> bool {
        self.pause_on.contains(&status)
            && now().checked_add(span).is_some_and(|until| self.manners.borrow_mut().pause(host, until))
    }

    /// Whether an answer with this status may ask for a pause.
    pub(super) fn heeds(&self, status: u16) -> bool {
        self.pause_on.contains(&status)
    }

    fn line(&self, host: &str) -> Rc<Mutex<()>> {
        let mut lines = self.lines.borrow_mut();
        if let Some(line) = lines.get(host) {
            return Rc::clone(line);
        }
        let line = Rc::new(Mutex::new(()));
        lines.insert(host.to_owned(), Rc::clone(&line));
        line
    }

    /// A line in which nobody stands is not kept.
    fn tidy(&self, host: &str) {
        let mut lines = self.lines.borrow_mut();
        if lines.get(host).is_some_and(|line| Rc::strong_count(line) == 1) {
            lines.remove(host);
        }
    }
}
