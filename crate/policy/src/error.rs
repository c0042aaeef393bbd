//! One error type for the whole product: what kind, in which phase, against whom, whether the peer may have seen the
//! request, and what caused it. It crosses to JavaScript as data; the facade's classes are built from [`Kind::ALL`].
//! Nobody ever parses a message.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

pub use crate::quote::{quote, quote_text};
use crate::story::Past;

/// What went wrong. Each kind has a stable code and the facade's class that carries it.
///
/// Several kinds may share a code where the class differs (a `total` deadline is a `ConnectTimeoutError` or a
/// `ReadTimeoutError`, by the phase that it cut).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// No connection became free in time, or too many requests wait already.
    PoolEmpty,
    /// A connection came back to a full blocking pool: only a bug of ours can do that.
    PoolFull,
    /// The pool is closed.
    PoolClosed,
    /// The policy gave up; what it gave up on is in `extra.below`.
    MaxRetry,
    /// Answers that `Retry` would not take: a redirect too many, a status too often. Always below [`Kind::MaxRetry`].
    BadResponse,
    /// A URL of another host was given to a pool.
    HostChanged,
    /// Dialling took longer than `connect`.
    ConnectTimeout,
    /// No byte arrived for longer than `read`.
    ReadTimeout,
    /// The peer took no byte of the request for longer than `read`.
    SendTimeout,
    /// `total` ran out while a connection was being made.
    TotalTimeoutDialling,
    /// `total` ran out at any later moment.
    TotalTimeout,
    /// No connection could be made; the system's code is in the cause.
    Connect,
    /// The name did not resolve.
    Dns,
    /// The proxy could not be reached, or refused; `below` is what it was, where it was not the proxy's own word.
    Proxy,
    /// A proxy's URL has a scheme that will not do.
    ProxyScheme,
    /// The address is one of those that are not to be connected to.
    AddressDenied,
    /// TLS failed: the handshake, the certificate, its name or fingerprint, or a record later on.
    Tls,
    /// The peer broke the protocol.
    Protocol,
    /// HTTP/2: the peer says that it has not processed the request (RFC 9113 §8.7).
    Unprocessed,
    /// The body ended early.
    IncompleteRead,
    /// A chunk size, extension or line end is wrong.
    Chunk,
    /// The body does not decode.
    Decode,
    /// The response passed a limit.
    TooLarge,
    /// A header field cannot be sent.
    InvalidHeader,
    /// The method is no token.
    InvalidMethod,
    /// A URL or host cannot be parsed.
    InvalidUrl,
    /// A URL or host is missing a part that is needed.
    MissingHost,
    /// A scheme that is neither http nor https.
    UnknownScheme,
    /// A time-out out of range.
    InvalidTimeout,
    /// An option has the wrong type, or two exclude one another.
    InvalidOption,
    /// An option's number is out of range.
    OptionRange,
    /// A body that cannot be sent.
    InvalidBody,
    /// The source of the request's body failed, or gave more or less than was announced.
    BodyFailed,
    /// A body that can be read once only would have to be sent again.
    Unrewindable,
    /// Nobody began to read a streamed body in time.
    UnreadTimeout,
    /// The body was not read yet.
    NotRead,
    /// Served by a later version.
    NotSupported,
    /// The caller's signal; the facade rejects with the signal's own reason.
    Aborted,
    /// A bug of ours.
    Internal,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 39] = [
        Self::PoolEmpty,
        Self::PoolFull,
        Self::PoolClosed,
        Self::MaxRetry,
        Self::BadResponse,
        Self::HostChanged,
        Self::ConnectTimeout,
        Self::ReadTimeout,
        Self::SendTimeout,
        Self::TotalTimeoutDialling,
        Self::TotalTimeout,
        Self::Connect,
        Self::Dns,
        Self::Proxy,
        Self::ProxyScheme,
        Self::AddressDenied,
        Self::Tls,
        Self::Protocol,
        Self::Unprocessed,
        Self::IncompleteRead,
        Self::Chunk,
        Self::Decode,
        Self::TooLarge,
        Self::InvalidHeader,
        Self::InvalidMethod,
        Self::InvalidUrl,
        Self::MissingHost,
        Self::UnknownScheme,
        Self::InvalidTimeout,
        Self::InvalidOption,
        Self::OptionRange,
        Self::InvalidBody,
        Self::BodyFailed,
        Self::Unrewindable,
        Self::UnreadTimeout,
        Self::NotRead,
        Self::NotSupported,
        Self::Aborted,
        Self::Internal,
    ];

    /// The stable code, the facade's `error.code`. `ERR_CONNECT` gives way to the system's code where there is one.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// The name of the facade's class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        self.row().1
    }

    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::PoolEmpty => ("ERR_POOL_EMPTY", "EmptyPoolError"),
            Self::PoolFull => ("ERR_POOL_FULL", "FullPoolError"),
            Self::PoolClosed => ("ERR_POOL_CLOSED", "ClosedPoolError"),
            Self::MaxRetry => ("ERR_MAX_RETRY", "MaxRetryError"),
            Self::BadResponse => ("ERR_MAX_RETRY", "ResponseError"),
            Self::HostChanged => ("ERR_HOST_CHANGED", "HostChangedError"),
            Self::ConnectTimeout => ("ERR_CONNECT_TIMEOUT", "ConnectTimeoutError"),
            Self::ReadTimeout => ("ERR_READ_TIMEOUT", "ReadTimeoutError"),
            Self::SendTimeout => ("ERR_SEND_TIMEOUT", "ReadTimeoutError"),
            Self::TotalTimeoutDialling => ("ERR_TOTAL_TIMEOUT", "ConnectTimeoutError"),
            Self::TotalTimeout => ("ERR_TOTAL_TIMEOUT", "ReadTimeoutError"),
            Self::Connect => ("ERR_CONNECT", "NewConnectionError"),
            Self::Dns => ("ERR_DNS", "NameResolutionError"),
            Self::Proxy => ("ERR_PROXY", "ProxyError"),
            Self::ProxyScheme => ("ERR_INVALID_URL", "ProxySchemeUnknown"),
            Self::AddressDenied => ("ERR_ADDRESS_DENIED", "AddressDenied"),
            Self::Tls => ("ERR_TLS", "SSLError"),
            Self::Protocol | Self::Unprocessed => ("ERR_PROTOCOL", "ProtocolError"),
            Self::IncompleteRead => ("ERR_INCOMPLETE_READ", "ProtocolError"),
            Self::Chunk => ("ERR_CHUNK", "ProtocolError"),
            Self::Decode => ("ERR_DECODE", "DecodeError"),
            Self::TooLarge => ("ERR_TOO_LARGE", "ResponseTooLarge"),
            Self::InvalidHeader => ("ERR_INVALID_HEADER", "InvalidHeader"),
            Self::InvalidMethod => ("ERR_INVALID_METHOD", "TypeError"),
            Self::InvalidUrl => ("ERR_INVALID_URL", "LocationParseError"),
            Self::MissingHost => ("ERR_INVALID_URL", "LocationValueError"),
            Self::UnknownScheme => ("ERR_INVALID_URL", "URLSchemeUnknown"),
            Self::InvalidTimeout => ("ERR_INVALID_TIMEOUT", "RangeError"),
            Self::InvalidOption => ("ERR_INVALID_OPTION", "TypeError"),
            Self::OptionRange => ("ERR_INVALID_OPTION", "RangeError"),
            Self::InvalidBody => ("ERR_INVALID_BODY", "TypeError"),
            Self::BodyFailed => ("ERR_INVALID_BODY", "ProtocolError"),
            Self::Unrewindable => ("ERR_UNREWINDABLE", "UnrewindableBodyError"),
            Self::UnreadTimeout => ("ERR_UNREAD_TIMEOUT", "ProtocolError"),
            Self::NotRead => ("ERR_NOT_READ", "ResponseNotRead"),
            Self::NotSupported => ("ERR_NOT_SUPPORTED", "TypeError"),
            Self::Aborted => ("ERR_ABORTED", "Error"),
            Self::Internal => ("ERR_INTERNAL", "HTTPError"),
        }
    }
}

/// Where in a request's life something happened or how long it took: one vocabulary for errors, timings and docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Waiting for a connection.
    Pool,
    /// Resolving the name.
    Dns,
    /// The TCP (or Unix) connect.
    Connect,
    /// CONNECT and SOCKS steps.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Writing the request.
    Send,
    /// Waiting for the response's head.
    Headers,
    /// Receiving the response's body.
    Body,
    /// The whole call.
    Total,
}

impl Phase {
    /// Every phase, in the order of its number.
    pub const ALL: [Self; 9] = [
        Self::Pool,
        Self::Dns,
        Self::Connect,
        Self::Proxy,
        Self::Tls,
        Self::Send,
        Self::Headers,
        Self::Body,
        Self::Total,
    ];

    /// The name used everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::Headers => "headers",
            Self::Body => "body",
            Self::Total => "total",
        }
    }
}

/// What lies below an [`Error`]: the system's or a library's word, as data. Several of them mean that several
/// addresses were tried.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Cause {
    /// The system's code (`ECONNREFUSED`), where it gave one.
    pub code: Option<String>,
    /// What it said.
    pub message: String,
    /// The address that it is about, `ip:port`.
    pub address: Option<String>,
}

/// Facts that only some kinds have.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Extra {
    /// A finer reason on the kind's code (`ERR_INFORMATIONAL_FLOOD`).
    pub reason: Option<&'static str>,
    /// The option's name and the figure of the limit that was passed.
    pub limit: Option<(&'static str, u64)>,
    /// What was received of a body before it broke off.
    pub partial: Option<Vec<u8>>,
    /// How many more bytes were announced.
    pub expected: Option<u64>,
    /// How many bytes of the body had come over the wire, where that is not what `partial` holds.
    pub received: Option<u64>,
    /// For a `total` deadline: the phase that it cut.
    pub during: Option<Phase>,
    /// Of `BadResponse`: the status of the answer that was one too many.
    pub status: Option<u16>,
    /// Of `MaxRetry`: what the last attempt met. Of `Proxy`: what kept us from it.
    pub below: Option<Error>,
    /// What was retried and followed before.
    pub history: Vec<Past>,
    /// Of `Tls`: the peer's certificates as it sent them, its own first, and the name that they were asked for.
    pub chain: Option<Chain>,
    /// Of `Proxy`: its answer to CONNECT.
    pub refusal: Option<Refusal>,
}

/// A proxy's answer to CONNECT that opened no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Refusal {
    /// Not 2xx.
    pub status: u16,
    /// Header lines as they came, names in lower case.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How its body begins: 64 KiB at most.
    pub body: Vec<u8>,
}

/// What a peer showed, and whom it should have shown.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Chain {
    /// DER, as sent: the peer's own first.
    pub certificates: Vec<Vec<u8>>,
    /// The name or address that was checked; `None` where none was.
    pub asserted: Option<String>,
}

/// The error of the product; boxed, so that a `Result` on the hot path stays two words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Fields>);

/// The fields of an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// What went wrong.
    pub kind: Kind,
    /// Where.
    pub phase: Option<Phase>,
    /// This level only; lower case where it goes on, no full stop. Holds no user info and no query.
    pub message: String,
    /// `host:port` that the request was for; set by the client loop.
    pub host: Option<String>,
    /// The absolute URL that was asked for last, where redirects have led away from the caller's; no user info.
    pub url: Option<String>,
    /// Exchanges begun so far.
    pub attempts: u32,
    /// Since the call began.
    pub elapsed: Duration,
    /// Whether the peer may have seen a byte of the request.
    pub sent: bool,
    /// What only some kinds have.
    pub extra: Extra,
    /// What lies below.
    pub causes: Vec<Cause>,
}

impl Error {
    /// An error of this kind that says this.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            kind,
            phase: None,
            message: message.into(),
            host: None,
            url: None,
            attempts: 0,
            elapsed: Duration::ZERO,
            sent: false,
            extra: Extra::default(),
            causes: Vec::new(),
        }))
    }

    /// The code that the caller sees: where a connection could not be made, what the system called the failure of the
    /// address that is told of first, else the kind's.
    #[must_use]
    pub fn code(&self) -> &str {
        match (self.0.kind, self.0.causes.first()) {
            (Kind::Connect, Some(Cause { code: Some(code), .. })) => code,
            (kind, _) => kind.code(),
        }
    }

    /// The same, in this phase.
    #[must_use]
    pub fn in_phase(mut self, phase: Phase) -> Self {
        self.0.phase = Some(phase);
        self
    }

    /// The same, caused by this.
    #[must_use]
    pub fn caused_by(mut self, cause: Cause) -> Self {
        self.0.causes.push(cause);
        self
    }

    /// The same, caused by this system error.
    #[must_use]
    pub fn caused_by_io(self, error: &std::io::Error) -> Self {
        self.caused_by(Cause::from_io(error))
    }

    /// The same with a finer reason.
    #[must_use]
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.0.extra.reason = Some(reason);
        self
    }

    /// The same with the limit's name and figure.
    #[must_use]
    pub fn with_limit(mut self, name: &'static str, allowed: u64) -> Self {
        self.0.extra.limit = Some((name, allowed));
        self
    }

    /// The fields, to read.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.0
    }

    /// What had come of a body; it is with the innermost error, which met it.
    #[must_use]
    pub fn partial(&self) -> Option<&[u8]> {
        let extra = &self.0.extra;
        extra.partial.as_deref().or_else(|| extra.below.as_ref()?.partial())
    }

    /// What had come of a body, taken out: a whole one may be large, and whoever remembers an error has no use for it.
    pub fn take_partial(&mut self) -> Option<Vec<u8>> {
        let extra = &mut self.0.extra;
        extra.partial.take().or_else(|| extra.below.as_mut()?.take_partial())
    }

    /// The fields, to fill in by whoever knows more.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.0
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl Cause {
    /// What a library said, without a system code.
    #[must_use]
    pub fn said(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The system's error with its symbolic code.
    #[must_use]
    pub fn from_io(error: &std::io::Error) -> Self {
        Self { code: system_code(error).map(str::to_owned), message: error.to_string(), address: None }
    }

    /// As it stands in a message: with the code, in place of the number that std writes.
    #[must_use]
    pub fn words(&self) -> Cow<'_, str> {
        match &self.code {
            None => self.message.as_str().into(),
            Some(code) => format!("{} ({code})", without_number(&self.message)).into(),
        }
    }

    /// The same where it stands in brackets already.
    #[must_use]
    pub fn bracketed(&self) -> String {
        match &self.code {
            None => format!("({})", self.message),
            Some(code) => format!("({}, {code})", without_number(&self.message)),
        }
    }

    /// The same, about this address.
    #[must_use]
    pub fn at(mut self, address: impl fmt::Display) -> Self {
        self.address = Some(address.to_string());
        self
    }
}

/// Without std's ` (os error 104)`.
fn without_number(said: &str) -> &str {
    said.rfind(" (os error ").map_or(said, |at| &said[..at])
}

/// The symbolic name that Node would give the error. By kind where std knows it (so that it holds on every platform),
/// by number for the rest of Linux's and macOS's.
#[must_use]
pub fn system_code(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind as K;
    let by_kind = match error.kind() {
        K::ConnectionRefused => Some("ECONNREFUSED"),
        K::ConnectionReset => Some("ECONNRESET"),
        K::ConnectionAborted => Some("ECONNABORTED"),
        K::NotConnected => Some("ENOTCONN"),
        K::AddrInUse => Some("EADDRINUSE"),
        K::AddrNotAvailable => Some("EADDRNOTAVAIL"),
        K::BrokenPipe => Some("EPIPE"),
        K::NetworkUnreachable => Some("ENETUNREACH"),
        K::HostUnreachable => Some("EHOSTUNREACH"),
        K::NetworkDown => Some("ENETDOWN"),
        K::PermissionDenied => Some("EACCES"),
        K::NotFound => Some("ENOENT"),
        K::TimedOut => Some("ETIMEDOUT"),
        K::OutOfMemory => Some("ENOMEM"),
        _ => None,
    };
    by_kind.or_else(|| match error.raw_os_error() {
        Some(1) => Some("EPERM"),
        Some(19) if cfg!(unix) => Some("ENODEV"),
        Some(22) => Some("EINVAL"),
        Some(23) => Some("ENFILE"),
        Some(24) => Some("EMFILE"),
        Some(71) if cfg!(target_os = "linux") => Some("EPROTO"),
        Some(97) if cfg!(target_os = "linux") => Some("EAFNOSUPPORT"),
        Some(105) if cfg!(target_os = "linux") => Some("ENOBUFS"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_its_place_in_the_table() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{kind:?}");
            assert!(kind.code().starts_with("ERR_"), "{kind:?}");
        }
        for (at, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, at, "{phase:?}");
        }
    }
}
