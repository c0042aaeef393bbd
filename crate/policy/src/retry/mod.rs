//! What is tried again, how often, and after how long: urllib3's `Retry` as a value without a clock.
//!
//! A `Retry` is never changed: each event makes another one, so that one value serves any number of requests. The history
//! that goes with it is the caller's.

mod after;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Phase};

/// How many more of something there may be. In JSON `null`, `false` or a whole number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenCount", into = "WrittenCount")]
pub enum Count {
    /// Not counted here.
    #[default]
    Unset,
    /// Not even judged: the first event of the kind is the caller's.
    Off,
    /// So many. Below 0 there are no more.
    Left(i64),
}

impl Count {
    /// After one more event. What is off has none to spend.
    fn spent(self) -> Self {
        match self {
            Self::Unset => Self::Unset,
            Self::Off => Self::Left(-1),
            Self::Left(left) => Self::Left(left.saturating_sub(1)),
        }
    }

    fn is_overdrawn(self) -> bool {
        matches!(self, Self::Left(left) if left < 0)
    }
}

/// Which methods may be sent again. In JSON `null` or `false` for every one, or an array of names. An array without names
/// is none of them (urllib3 3.0's reading; 2.8 takes it for all and warns).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenMethods", into = "WrittenMethods")]
pub enum Methods {
    /// Every one.
    Every,
    /// These, in any case.
    Only(Vec<String>),
}

impl Methods {
    fn allow(&self, method: &[u8]) -> bool {
        match self {
            Self::Every => true,
            Self::Only(names) => names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(method)),
        }
    }
}

/// What may be tried again. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Retry {
    /// Events of any kind. Default 10. Off: the first error is thrown as it is, and redirects are returned.
    pub total: Count,
    /// Errors before the request was sent.
    pub connect: Count,
    /// Errors after it may have been sent.
    pub read: Count,
    /// Redirects followed.
    pub redirect: Count,
    /// Answers whose status is retried.
    pub status: Count,
    /// Every other error.
    pub other: Count,
    /// Which methods are sent again after an error of what had been sent, or because of a status. Default [`ALLOWED_METHODS`].
    pub allowed_methods: Methods,
    /// Statuses to retry. Default none.
    pub status_forcelist: Vec<u16>,
    /// The first back-off is twice this, each further one twice the one before. Default 0.
    pub backoff_factor: f64,
    /// Least delay before a retry after an error or a status, the first one too. Default 0; urllib3 has no such bound.
    pub backoff_min: f64,
    /// Most that a back-off can be. Default 120,000.
    pub backoff_max: f64,
    /// A back-off is longer by a random part of this. Default 0.
    pub backoff_jitter: f64,
    /// Whether too many redirects are an error; else the last 3xx is the answer. Default true.
    pub raise_on_redirect: bool,
    /// Whether too many bad statuses are an error; else the last answer is returned. Default true.
    pub raise_on_status: bool,
    /// Whether a Retry-After field is heeded, in a redirect too. Default true.
    pub respect_retry_after_header: bool,
    /// Fields that do not go to another origin, in lower case. Default [`REMOVE_HEADERS_ON_REDIRECT`].
    pub remove_headers_on_redirect: Vec<String>,
    /// A Retry-After above this is cut to it. Default 21,600,000.
    pub retry_after_max: f64,
}

/// Methods that may be made twice (RFC 9110 §9.2.2).
pub const ALLOWED_METHODS: [&str; 6] = ["DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE"];
/// Fields that are secrets of an origin or of a proxy.
pub const REMOVE_HEADERS_ON_REDIRECT: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
/// Statuses that a Retry-After makes worth another try.
pub const RETRY_AFTER_STATUS_CODES: [u16; 3] = [413, 429, 503];
/// Redirects in a chain that nothing else bounds.
pub const MOST_HOPS: u32 = 20;

impl Default for Retry {
    fn default() -> Self {
        Self {
            total: Count::Left(10),
            connect: Count::Unset,
            read: Count::Unset,
            redirect: Count::Unset,
            status: Count::Unset,
            other: Count::Unset,
            allowed_methods: Methods::Only(ALLOWED_METHODS.map(str::to_owned).into()),
            status_forcelist: Vec::new(),
            backoff_factor: 0.0,
            backoff_min: 0.0,
            backoff_max: 120_000.0,
            backoff_jitter: 0.0,
            raise_on_redirect: true,
            raise_on_status: true,
            respect_retry_after_header: true,
            remove_headers_on_redirect: REMOVE_HEADERS_ON_REDIRECT.map(str::to_owned).into(),
            retry_after_max: 21_600_000.0,
        }
    }
}

/// What happened to an attempt.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// It failed.
    Error(&'e Error),
    /// It was answered by a redirect that is to be followed.
    Redirect,
    /// It was answered by a status that is to be retried.
    Status(u16),
    /// It was answered by something else that is to be retried.
    Answer,
}

/// An event without what it carried: all that is counted. In JSON `{ "error": "read" }`, `{ "status": 503 }`, `"redirect"`,
/// `"answer"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Counted {
    /// An error of this class; `None` is one that is never retried.
    Error(Option<Class>),
    /// As [`Event::Redirect`].
    Redirect,
    /// As [`Event::Status`].
    Status(u16),
    /// As [`Event::Answer`].
    Answer,
}

impl From<&Event<'_>> for Counted {
    fn from(event: &Event<'_>) -> Self {
        match *event {
            Event::Error(error) => Self::Error(class_of_error(error)),
            Event::Redirect => Self::Redirect,
            Event::Status(status) => Self::Status(status),
            Event::Answer => Self::Answer,
        }
    }
}

/// Why there is no further attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The error itself is thrown; why, if there is something to say ("POST is not in allowedMethods").
    Rethrow(Option<String>),
    /// A `MaxRetryError` is thrown. Its reason is the error, or a `ResponseError` with this text where the event was an
    /// answer ("too many redirects").
    Exhausted(Option<String>),
}

/// The errors that `Retry` tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Class {
    /// There was no connection: the peer has seen nothing.
    Connect,
    /// The peer may have acted on the request.
    Read,
    /// Any other one.
    Other,
    /// Any other one, once the request had gone out: the peer may have acted on it, as with [`Class::Read`].
    OtherSent,
}

impl Class {
    /// The option that counts it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Read => "read",
            Self::Other | Self::OtherSent => "other",
        }
    }
}

/// What `Retry` takes an error for; `None` is never retried.
///
/// A deadline over the whole call leaves no time for another try, a limit or a coding would be met again, wrong arguments
/// stay wrong, and a source that failed cannot be asked again.
#[must_use]
pub const fn class_of(kind: Kind) -> Option<Class> {
    match kind {
        // What the peer says it has not processed is as if it had never been sent (RFC 9113 §8.7).
        Kind::ConnectTimeout | Kind::Connect | Kind::Dns | Kind::Unprocessed => Some(Class::Connect),
        // TLS-19: as urllib3 counts it.
        Kind::Tls | Kind::Proxy => Some(Class::Other),
        Kind::ReadTimeout | Kind::SendTimeout | Kind::Protocol | Kind::IncompleteRead | Kind::Chunk => {
            Some(Class::Read)
        }
        Kind::PoolEmpty
        | Kind::PoolFull
        | Kind::PoolClosed
        | Kind::MaxRetry
        | Kind::BadResponse
        | Kind::HostChanged
        | Kind::TotalTimeoutDialling
        | Kind::TotalTimeout
        | Kind::Decode
        | Kind::TooLarge
        | Kind::InvalidHeader
        | Kind::InvalidMethod
        | Kind::InvalidUrl
        | Kind::MissingHost
        | Kind::UnknownScheme
        | Kind::ProxyScheme
        | Kind::AddressDenied
        | Kind::InvalidTimeout
        | Kind::InvalidOption
        | Kind::OptionRange
        | Kind::InvalidBody
        | Kind::BodyFailed
        | Kind::Unrewindable
        | Kind::UnreadTimeout
        | Kind::NotRead
        | Kind::NotSupported
        | Kind::Aborted
        | Kind::Internal => None,
    }
}

/// [`class_of`] for an error with what lies below it: that a proxy could not be reached is an error of connecting if what kept
/// us from it is (PROXY-08); and TLS that breaks under a request may have carried it to the peer before, whatever its method.
#[must_use]
pub fn class_of_error(error: &Error) -> Option<Class> {
    let below = error.fields().extra.below.as_ref().map(|below| class_of(below.kind()));
    match (error.kind(), below) {
        (Kind::Proxy, Some(Some(Class::Connect))) => Some(Class::Connect),
        (kind, _) => match class_of(kind) {
            Some(Class::Other) if went_out(error) => Some(Class::OtherSent),
            class => class,
        },
    }
}

/// Whether it is an attempt's that may have reached the peer. `sent` alone is the whole call's: a redirect's first hop was sent
/// when the handshake with the next one fails.
fn went_out(error: &Error) -> bool {
    let before =
        matches!(error.fields().phase, Some(Phase::Pool | Phase::Dns | Phase::Connect | Phase::Proxy | Phase::Tls));
    error.fields().sent && !before
}

impl Retry {
    /// The total of [`Retry::usual`].
    pub const DEFAULT_TOTAL: i64 = 3;

    /// What a request has that says nothing.
    #[must_use]
    pub fn usual() -> Self {
        Self { total: Count::Left(Self::DEFAULT_TOTAL), ..Self::default() }
    }

    /// What is left after this event, or why there is no further attempt. An empty method is none at all.
    pub fn increment(&self, method: &[u8], event: &Event<'_>) -> Result<Self, Refused> {
        self.count(method, event.into())
    }

    /// [`Retry::increment`] for whoever has no [`Error`].
    pub fn count(&self, method: &[u8], event: Counted) -> Result<Self, Refused> {
        let (left, said) = self.spend(method, event)?;
        if left.is_exhausted() { Err(Refused::Exhausted(said)) } else { Ok(left) }
    }

    /// What is left after this event, which may be less than nothing, and the text for a [`Refused::Exhausted`] if it is.
    ///
    /// # Errors
    /// [`Refused::Rethrow`]
    pub fn spend(&self, method: &[u8], event: Counted) -> Result<(Self, Option<String>), Refused> {
        let mut left = self.clone();
        let said = match event {
            Counted::Error(class) => {
                let counter = match self.retriable(method, class)? {
                    Class::Connect => &mut left.connect,
                    Class::Read => &mut left.read,
                    Class::Other | Class::OtherSent => &mut left.other,
                };
                *counter = counter.spent();
                None
            }
            Counted::Redirect => {
                left.redirect = left.redirect.spent();
                Some("too many redirects".to_owned())
            }
            Counted::Status(status) => {
                left.status = left.status.spent();
                Some(format!("too many {status} error responses"))
            }
            Counted::Answer => Some("too many error responses".to_owned()),
        };
        left.total = left.total.spent();
        Ok((left, said))
    }

    /// Whether any counter is below 0: the least of them decides.
    pub fn is_exhausted(&self) -> bool {
        [self.total, self.connect, self.read, self.redirect, self.status, self.other]
            .into_iter()
            .any(Count::is_overdrawn)
    }

    /// Whether an answer of this status is retried: the method is allowed, and the status is listed or comes with a
    /// Retry-After that is heeded. Without a total there are retries left.
    pub fn is_retry(&self, method: &[u8], status: u16, has_retry_after: bool) -> bool {
        let asked_to = || {
            has_retry_after
                && self.respect_retry_after_header
                && RETRY_AFTER_STATUS_CODES.contains(&status)
                && !matches!(self.total, Count::Off | Count::Left(0))
        };
        self.allowed_methods.allow(method) && (self.status_forcelist.contains(&status) || asked_to())
    }

    /// Milliseconds before the next attempt, after so many errors or statuses since the last redirect. `random` is uniform
    /// over [0, 1).
    ///
    /// The first retry does not wait, the second one twice the factor, each further one twice as long as the one before.
    pub fn backoff(&self, errors_in_a_row: u32, random: f64) -> f64 {
        let grown = match errors_in_a_row {
            0 => return 0.0,
            1 => 0.0,
            many => {
                let exponent = i32::try_from(many - 1).unwrap_or(i32::MAX);
                self.backoff_factor * 2_f64.powi(exponent) + random * self.backoff_jitter
            }
        };
        // Each of these passes over NaN (0 × ∞), and the last one also bounds nonsense in the settings.
        grown.max(self.backoff_min).min(self.backoff_max).max(0.0)
    }

    /// Milliseconds that a Retry-After field asks for, [`Retry::retry_after_max`] at most. `None` where it asks for no
    /// delay or is none: then the back-off holds.
    pub fn retry_after(&self, value: &[u8], now_unix_ms: f64) -> Option<f64> {
        self.parse_retry_after(value, now_unix_ms).filter(|&delay| delay > 0.0)
    }

    /// [`Retry::retry_after`] that tells a delay of 0 from a field that cannot be read (`None`).
    pub fn parse_retry_after(&self, value: &[u8], now_unix_ms: f64) -> Option<f64> {
        after::parse(value, now_unix_ms).map(|delay| delay.min(self.retry_after_max).max(0.0))
    }

    /// Whether a redirect is followed at all: false where total or redirect is off.
    pub fn follows(&self) -> bool {
        self.total != Count::Off && self.redirect != Count::Off
    }

    /// How long a chain of redirects may be: [`MOST_HOPS`] where neither total nor redirect is a number, else `None`,
    /// since these count.
    pub fn most_hops(&self) -> Option<u32> {
        let is_counted = |count| matches!(count, Count::Left(_));
        (!is_counted(self.total) && !is_counted(self.redirect)).then_some(MOST_HOPS)
    }

    /// How long a chain may be whatever the caller's own methods say, which may not count: as long as the larger of the
    /// numbers allows, and no shorter than [`MOST_HOPS`].
    pub fn most_hops_unjudged(&self) -> u32 {
        let numbers = [self.total, self.redirect].into_iter().filter_map(|count| match count {
            Count::Left(left) => u32::try_from(left.min(i64::from(u32::MAX))).ok(),
            Count::Unset | Count::Off => None,
        });
        numbers.max().unwrap_or(0).max(MOST_HOPS)
    }

    /// Whether a field of this name, in any case, stays behind when another origin is asked.
    pub fn removes(&self, name: &[u8]) -> bool {
        self.remove_headers_on_redirect.iter().any(|removed| removed.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The class of an error that does not go to the caller as it is.
    fn retriable(&self, method: &[u8], class: Option<Class>) -> Result<Class, Refused> {
        let class = class.ok_or(Refused::Rethrow(None))?;
        let counter = match class {
            Class::Connect => self.connect,
            Class::Read => self.read,
            // urllib3 has no switch for these.
            Class::Other | Class::OtherSent => Count::Unset,
        };
        if self.total == Count::Off || counter == Count::Off {
            return Err(Refused::Rethrow(None));
        }
        // urllib3 asks for the method after read errors only, and sends a POST again when a record does not decrypt (TLS-19 ≠).
        let may_have_acted = matches!(class, Class::Read | Class::OtherSent);
        if may_have_acted && (method.is_empty() || !self.allowed_methods.allow(method)) {
            let name = crate::error::quote(&method.to_ascii_uppercase());
            let why = (!method.is_empty()).then(|| format!("{name} is not in allowedMethods"));
            return Err(Refused::Rethrow(why));
        }
        Ok(class)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected null, false or a whole number")]
enum WrittenCount {
    Unset,
    Switch(bool),
    Left(i64),
}

impl TryFrom<WrittenCount> for Count {
    type Error = &'static str;

    fn try_from(written: WrittenCount) -> Result<Self, &'static str> {
        match written {
            WrittenCount::Unset => Ok(Self::Unset),
            WrittenCount::Switch(false) => Ok(Self::Off),
            WrittenCount::Switch(true) => Err("a count is null, false or a whole number"),
            WrittenCount::Left(left) => Ok(Self::Left(left)),
        }
    }
}

impl From<Count> for WrittenCount {
    fn from(count: Count) -> Self {
        match count {
            Count::Unset => Self::Unset,
            Count::Off => Self::Switch(false),
            Count::Left(left) => Self::Left(left),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected null, false or an array of names")]
enum WrittenMethods {
    Every,
    Switch(bool),
    Only(Vec<String>),
}

impl TryFrom<WrittenMethods> for Methods {
    type Error = &'static str;

    fn try_from(written: WrittenMethods) -> Result<Self, &'static str> {
        match written {
            WrittenMethods::Every | WrittenMethods::Switch(false) => Ok(Self::Every),
            WrittenMethods::Switch(true) => Err("methods are null, false or an array of names"),
            WrittenMethods::Only(names) => Ok(Self::Only(names)),
        }
    }
}

impl From<Methods> for WrittenMethods {
    fn from(methods: Methods) -> Self {
        match methods {
            Methods::Every => Self::Every,
            Methods::Only(names) => Self::Only(names),
        }
    }
}
