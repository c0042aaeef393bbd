//! Why a connection was closed instead of kept: for the pool's figures, for the `close` event and for the log.

use std::fmt;

/// The reason for closing a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Discard {
    /// It came back while `maxsize` idle connections were there already.
    Surplus,
    /// It was idle for `idleTimeout`.
    IdleTimeout,
    /// It reached `maxAge`.
    MaxAge,
    /// It carried `maxRequestsPerConnection` requests.
    MaxRequests,
    /// The server's `Keep-Alive` field leaves no time or no further request.
    ServerKeepAlive,
    /// It was found unusable before anything was written to it.
    Stale,
    /// Bytes came that no request had asked for (RFC 9112 §9.2).
    Poisoned,
    /// The server closed it.
    PeerClosed,
    /// The exchange ended well but in a way that does not allow another (RFC 9112 §9.3).
    NotReusable,
    /// The response had to be repaired to be understood, so where it ended is not certain.
    Repaired,
    /// The response's body was left unread.
    Abandoned,
    /// Dialling or the exchange failed.
    Failed,
    /// A time-out cut the exchange.
    TimedOut,
    /// The caller's signal cut the exchange.
    Aborted,
    /// Room was needed: its pool left the manager, or another pool needed the connection's place.
    Evicted,
    /// The pool was closed.
    PoolClosed,
}

impl Discard {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 16] = [
        Self::Surplus,
        Self::IdleTimeout,
        Self::MaxAge,
        Self::MaxRequests,
        Self::ServerKeepAlive,
        Self::Stale,
        Self::Poisoned,
        Self::PeerClosed,
        Self::NotReusable,
        Self::Repaired,
        Self::Abandoned,
        Self::Failed,
        Self::TimedOut,
        Self::Aborted,
        Self::Evicted,
        Self::PoolClosed,
    ];

    /// The reason's name, for programs: it never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Surplus => "surplus",
            Self::IdleTimeout => "idle",
            Self::MaxAge => "max age",
            Self::MaxRequests => "max requests",
            Self::ServerKeepAlive => "keep-alive",
            Self::Stale => "stale",
            Self::Poisoned => "poisoned",
            Self::PeerClosed => "peer closed",
            Self::NotReusable => "not reusable",
            Self::Repaired => "repaired",
            Self::Abandoned => "abandoned",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Aborted => "aborted",
            Self::Evicted => "evicted",
            Self::PoolClosed => "closed",
        }
    }

    /// The reason in words, to stand after "closed: ".
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Surplus => "the pool keeps maxsize connections and has them",
            Self::IdleTimeout => "idle for idleTimeout",
            Self::MaxAge => "older than maxAge",
            Self::MaxRequests => "maxRequestsPerConnection reached",
            Self::ServerKeepAlive => "the server's Keep-Alive allows no further use",
            Self::Stale => "found unusable before use",
            Self::Poisoned => "the server sent bytes nobody asked for",
            Self::PeerClosed => "the server closed it",
            Self::NotReusable => "the response does not allow another request",
            Self::Repaired => "the response had to be repaired",
            Self::Abandoned => "the response's body was not read to its end",
            Self::Failed => "the exchange failed",
            Self::TimedOut => "a time-out cut the exchange",
            Self::Aborted => "the request was aborted",
            Self::Evicted => "its place was needed",
            Self::PoolClosed => "the pool was closed",
        }
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.explain())
    }
}

/// How many connections were closed for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally([u64; Discard::ALL.len()]);

impl Tally {
    pub(super) fn add(&mut self, why: Discard) {
        self.0[why as usize] += 1;
    }

    pub(super) fn of(&self, why: Discard) -> u64 {
        self.0[why as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_stands_at_its_number_and_explains_itself_differently() {
        for (number, why) in Discard::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, number, "{why:?}");
        }
        let words: HashSet<_> = Discard::ALL.into_iter().map(Discard::explain).collect();
        assert_eq!(words.len(), Discard::ALL.len());
        let names: HashSet<_> = Discard::ALL.into_iter().map(Discard::name).collect();
        assert_eq!(names.len(), Discard::ALL.len());
    }

    #[test]
    fn the_tally_keeps_reasons_apart() {
        let mut tally = Tally::default();
        tally.add(Discard::PoolClosed);
        tally.add(Discard::PoolClosed);
        tally.add(Discard::Surplus);
        let counts = Discard::ALL.map(|why| tally.of(why));
        assert_eq!((counts[0], counts[15], counts.iter().sum::<u64>()), (1, 2, 3));
    }
}
