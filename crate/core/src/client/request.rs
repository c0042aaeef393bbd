//! A request as the core takes it: what the caller said, not yet judged.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferropool_policy::retry::Retry;
use ferropool_policy::settings::{Limits, Timeouts};

use super::ask::{Asker, Asks};
use super::line::{Line as Caller, Pace};
use super::upload::Source;

/// One header line as the caller gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As spelled.
    pub name: Bytes,
    /// `None` is `SKIP_HEADER`: leave that default header out.
    pub value: Option<Bytes>,
}

impl Line {
    /// Whether it says to a proxy who we are (RFC 9110 §11.7.2).
    pub(crate) fn is_for_proxies(&self) -> bool {
        self.name.eq_ignore_ascii_case(b"proxy-authorization")
    }
}

/// What a request carries.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    /// Nothing.
    #[default]
    None,
    /// A body that is there.
    Whole(Bytes),
    /// A body that comes in pieces.
    Pieces(Rc<Source>),
}

/// What a call says of proxies.
#[derive(Clone, PartialEq, Eq)]
pub enum ProxyChoice {
    /// None, whatever the manager has.
    Direct,
    /// This one, by its URL.
    Url(Bytes),
}

/// Without the URL, which may hold credentials.
impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "Direct",
            Self::Url(_) => "Url(…)",
        })
    }
}

/// How the caller wants the response's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Read and decoded, with the response.
    Whole,
    /// In pieces, when he asks for them.
    Pieces {
        /// They are to become one block after all, so that a block's limits hold.
        whole: bool,
    },
}

/// One call.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own, as the caller set it")]
pub struct Request {
    /// As it goes on the wire; `request()` upper-cases it before.
    pub method: Bytes,
    /// A path, or a whole URL.
    pub url: Bytes,
    /// Refuse a URL of another host.
    pub assert_same_host: bool,
    /// Pairs for the query.
    pub fields: Vec<(Bytes, Bytes)>,
    /// `None`: the pool's own.
    pub headers: Option<Vec<Line>>,
    /// A content type for the body where the headers in force have none (`json`).
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Payload,
    /// What becomes of the response's body.
    pub wanted: Wanted,
    /// Who hears of progress.
    pub progress: Option<Pace>,
    /// Who hears, once, that the request is out.
    pub tells_sent: Option<Rc<dyn Caller>>,
    /// Frame by chunks.
    pub chunked: bool,
    /// In place of the pool's.
    pub timeout: Option<Timeouts>,
    /// How long to wait for a connection.
    pub pool_timeout: Option<Duration>,
    /// Undo Content-Encoding.
    pub decode_content: bool,
    /// A body shorter than announced is an error.
    pub enforce_content_length: bool,
    /// In place of the pool's.
    pub limits: Option<Limits>,
    /// In place of the pool's.
    pub retry: Option<Rc<Retry>>,
    /// In place of the manager's.
    pub proxy: Option<ProxyChoice>,
    /// Follow where answers lead.
    pub redirect: bool,
    /// What is asked of the caller in between.
    pub asks: Asks,
    /// Who answers.
    pub asker: Option<Rc<dyn Asker>>,
    /// When the caller made the call.
    pub started: Instant,
}

impl Request {
    /// A plain request with every option at its default.
    #[must_use]
    pub fn new(method: impl Into<Bytes>, url: impl Into<Bytes>, started: Instant) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            assert_same_host: true,
            fields: Vec::new(),
            headers: None,
            content_type: None,
            body: Payload::None,
            wanted: Wanted::Whole,
            progress: None,
            tells_sent: None,
            chunked: false,
            timeout: None,
            pool_timeout: None,
            decode_content: true,
            enforce_content_length: true,
            limits: None,
            retry: None,
            proxy: None,
            redirect: true,
            asks: Asks::default(),
            asker: None,
            started,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}
