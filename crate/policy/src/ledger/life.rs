//! A pool's bounds, what is known about one connection's life, and what the former make of the latter: how long it may
//! lie idle, or that it is spent. Judged when a connection becomes idle, so that checkout compares one instant.

use std::time::{Duration, Instant};

use super::discard::Discard;
use crate::keepalive;
use crate::settings::{self, PoolSettings};

/// What a pool allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Idle connections kept; with `block` also the most that exist, those being dialled included. A blocking pool
    /// with 0 would never serve anybody: the caller refuses it.
    pub maxsize: u32,
    /// At `maxsize`: wait (true), or open another that is discarded after use (false).
    pub block: bool,
    /// Requests that may wait at once; 0: no bound.
    pub max_waiting: u32,
    /// How long a connection may be idle. `None`: no bound.
    pub idle_timeout: Option<Duration>,
    /// How old a connection may be when a request begins on it. `None`: no bound.
    pub max_age: Option<Duration>,
    /// Requests that may begin on one connection; 0: no bound.
    pub max_requests: u32,
}

impl From<&PoolSettings> for Bounds {
    fn from(settings: &PoolSettings) -> Self {
        Self {
            maxsize: settings.maxsize,
            block: settings.block,
            max_waiting: settings.max_waiting,
            idle_timeout: settings::span(settings.idle_timeout),
            max_age: settings::span(settings.max_age),
            max_requests: settings.max_requests_per_connection,
        }
    }
}

/// What is known about a connection's life. It travels with the connection; whoever holds the lease keeps it true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When dialling ended.
    pub born: Instant,
    /// Requests begun on it.
    pub requests: u32,
    /// What the server last said. `max` is what is left of it: [`Life::begin`] counts it down.
    pub server: keepalive::Hint,
}

impl Life {
    /// A connection that was dialled just now and carried nothing yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { born: now, requests: 0, server: keepalive::Hint::default() }
    }

    /// A request begins on the connection.
    pub fn begin(&mut self) {
        self.requests = self.requests.saturating_add(1);
        self.server.max = self.server.max.map(|left| left.saturating_sub(1));
    }

    /// A response said this. What it does not mention stays as an earlier response had it.
    pub fn learn(&mut self, hint: keepalive::Hint) {
        self.server.timeout = hint.timeout.or(self.server.timeout);
        self.server.max = hint.max.or(self.server.max);
    }
}

/// What a pool's bounds make of a connection that becomes idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may not carry another request.
    Spent(Discard),
    /// It may be used before, but not at, this instant.
    Until(Instant, Discard),
    /// Nothing bounds it.
    Unbounded,
}

impl Bounds {
    /// Judges a connection that becomes idle, or changes hands, `now`.
    pub(super) fn fate(&self, life: &Life, now: Instant) -> Fate {
        if self.max_requests != 0 && life.requests >= self.max_requests {
            return Fate::Spent(Discard::MaxRequests);
        }
        if life.server.max == Some(0) {
            return Fate::Spent(Discard::ServerKeepAlive);
        }
        // An instant that the clock cannot hold is never reached.
        let after = |from: Instant, span: Option<Duration>| span.and_then(|span| from.checked_add(span));
        let ends = [
            (after(life.born, self.max_age), Discard::MaxAge),
            (after(now, self.idle_timeout), Discard::IdleTimeout),
            (after(now, life.server.idle_for()), Discard::ServerKeepAlive),
        ];
        let first = ends.into_iter().filter_map(|(end, why)| Some((end?, why))).min_by_key(|&(end, _)| end);
        match first {
            None => Fate::Unbounded,
            Some((end, why)) if end <= now => Fate::Spent(why),
            Some((end, why)) => Fate::Until(end, why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::{bounds, epoch};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_earliest_end_decides() {
        let now = epoch();
        let fate = |idle: u64, age: u64, timeout: u64| {
            let span = |seconds| (seconds != 0).then_some(SECOND * seconds as u32);
            let bounds = Bounds { idle_timeout: span(idle), max_age: span(age), ..bounds(1, false) };
            let server = keepalive::Hint { timeout: span(timeout), max: None };
            bounds.fate(&Life { server, ..Life::new(now) }, now)
        };
        let table = [
            ("nothing", (0, 0, 0), Fate::Unbounded),
            ("idle", (3, 4, 5), Fate::Until(now + SECOND * 3, Discard::IdleTimeout)),
            ("age", (5, 4, 5), Fate::Until(now + SECOND * 4, Discard::MaxAge)),
            ("server, less the margin", (5, 5, 5), Fate::Until(now + SECOND * 9 / 2, Discard::ServerKeepAlive)),
            ("server alone", (0, 0, 1), Fate::Until(now + SECOND / 2, Discard::ServerKeepAlive)),
        ];
        for (name, (idle, age, timeout), expected) in table {
            assert_eq!(fate(idle, age, timeout), expected, "{name}");
        }
    }

    #[test]
    fn a_connection_is_spent_by_age_by_count_and_by_the_server() {
        let born = epoch();
        let bounds = Bounds { max_age: Some(SECOND), max_requests: 2, ..bounds(1, false) };
        let life = Life::new(born);
        let server = |timeout, max| Life { server: keepalive::Hint { timeout, max }, ..life };
        let spent = |life: &Life, now| match bounds.fate(life, now) {
            Fate::Spent(why) => Some(why),
            Fate::Until(..) | Fate::Unbounded => None,
        };
        assert_eq!(spent(&life, born), None);
        assert_eq!(spent(&life, born + SECOND), Some(Discard::MaxAge));
        assert_eq!(spent(&Life { requests: 1, ..life }, born), None);
        assert_eq!(spent(&Life { requests: 2, ..life }, born), Some(Discard::MaxRequests));
        assert_eq!(spent(&server(None, Some(1)), born), None);
        assert_eq!(spent(&server(None, Some(0)), born), Some(Discard::ServerKeepAlive));
        assert_eq!(spent(&server(Some(SECOND / 2), None), born), Some(Discard::ServerKeepAlive));
        assert_eq!(spent(&server(Some(SECOND), None), born), None);
    }

    #[test]
    fn a_span_beyond_the_clock_is_no_bound() {
        let bounds = Bounds { idle_timeout: Some(Duration::MAX), max_age: Some(Duration::MAX), ..bounds(1, false) };
        assert_eq!(bounds.fate(&Life::new(epoch()), epoch()), Fate::Unbounded);
    }

    // THR-315
    #[test]
    fn the_servers_max_is_counted_down_until_it_says_otherwise() {
        let mut life = Life::new(epoch());
        life.begin();
        life.learn(keepalive::parse(b"timeout=5, max=2"));
        life.begin();
        assert_eq!((life.requests, life.server.max), (2, Some(1)));
        life.learn(keepalive::parse(b"timeout=7"));
        assert_eq!((life.server.timeout, life.server.max), (Some(SECOND * 7), Some(1)));
        life.begin();
        life.begin();
        assert_eq!((life.requests, life.server.max), (4, Some(0)));
        life.learn(keepalive::parse(b"max=9"));
        assert_eq!(life.server.max, Some(9));
    }

    #[test]
    fn zero_in_the_settings_is_no_bound() {
        let settings = PoolSettings { maxsize: 3, block: true, ..PoolSettings::default() };
        assert_eq!(Bounds::from(&settings), bounds(3, true));
        let settings = PoolSettings {
            idle_timeout: 1_000.0,
            max_age: 2_000.0,
            max_requests_per_connection: 7,
            max_waiting: 9,
            ..settings
        };
        let expected = Bounds {
            idle_timeout: Some(SECOND),
            max_age: Some(SECOND * 2),
            max_requests: 7,
            max_waiting: 9,
            ..bounds(3, true)
        };
        assert_eq!(Bounds::from(&settings), expected);
    }
}
