//! From what the caller said to the message that goes on the wire: target, header fields in order and case, framing.
//!
//! Everything is judged here, before a connection is asked for: bad input is a clear error and nothing is sent. The order
//! of the automatic fields is urllib3's (HDR-01): Host, Accept-Encoding, framing, User-Agent, then the caller's.

use std::borrow::Cow;
use std::rc::Rc;

use bytes::Bytes;
use ferropool_policy::error::{Error, Kind, quote};
use ferropool_policy::origin::Origin;
use ferropool_policy::settings::PoolSettings;
use ferropool_policy::{query, url};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
    USER_AGENT,
};
use http::{Extensions, Method, Uri};

use super::case::CaseBook;
use super::request::{Line, Payload, Request};
use super::upload::{Source, Upload};
use crate::pool::Audience;

/// A message ready to be sent.
#[derive(Debug)]
pub struct Message {
    /// As hyper takes it.
    pub http: http::Request<Upload>,
    /// The caller asked for `Connection: close`.
    pub close: bool,
    /// Where its body comes from, if it has one.
    pub source: Option<Rc<Source>>,
}

impl Message {
    fn new(
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        spelling: Option<Extensions>,
        source: Option<Rc<Source>>,
    ) -> Self {
        let mut http =
            http::Request::new(source.as_ref().map_or_else(Upload::default, |source| Upload::of(Rc::clone(source))));
        *http.method_mut() = method;
        *http.uri_mut() = uri;
        *http.headers_mut() = headers;
        if let Some(spelling) = spelling {
            *http.extensions_mut() = spelling;
        }
        Self { http, close: false, source }
    }

    /// Whether its body goes out in chunks, over HTTP/1.1.
    pub fn is_chunked(&self) -> bool {
        self.http.headers().contains_key(TRANSFER_ENCODING)
    }
}

/// The fields that a pool sends by itself, checked once.
#[derive(Debug)]
pub struct Defaults {
    host: HeaderValue,
    accept_encoding: HeaderValue,
    user_agent: HeaderValue,
    lines: Vec<Line>,
    audience: Audience,
    /// The whole head of a request that brings nothing of its own: no headers, no framing.
    plain: (HeaderMap, Option<Extensions>, bool),
}

impl Defaults {
    /// Checks a pool's own header fields.
    pub fn new(origin: &Origin, settings: &PoolSettings, audience: Audience, book: &CaseBook) -> Result<Self, Error> {
        let lines = lines_of(settings.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())))?;
        let mut defaults = Self {
            host: value_of(b"Host", origin.authority().as_bytes())?,
            accept_encoding: value_of(b"Accept-Encoding", &latin1(&settings.accept_encoding)?)?,
            user_agent: value_of(b"User-Agent", &latin1(&settings.user_agent)?)?,
            lines,
            audience,
            plain: (HeaderMap::new(), None, false),
        };
        let head = defaults.head(&defaults.lines, &Framing::None, None, book, None)?;
        if head.asked_chunked || matches!(defaults.audience, Audience::Proxy(_)) {
            // Every request of the pool is chunked then, or names its target and host; none of them is plain.
            return Ok(defaults);
        }
        defaults.plain = (head.headers, head.spelling, head.close);
        Ok(defaults)
    }

    /// The pool's own header lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    fn head(
        &self,
        lines: &[Line],
        framing: &Framing,
        content_type: Option<&'static str>,
        book: &CaseBook,
        foreign: Option<HeaderValue>,
    ) -> Result<Head, Error> {
        if lines.len() > MOST_LINES {
            return Err(invalid_header(format!(
                "a request has at most {MOST_LINES} header lines of its own, not {}",
                lines.len()
            )));
        }
        let mut own = Own::of(lines)?;
        // PROXY-06: what is said for the proxy replaces what was said for everybody.
        let for_proxy = match &self.audience {
            Audience::Proxy(via) => &via.lines[..],
            _ => &[],
        };
        own.yield_to(for_proxy);
        let mut headers = HeaderMap::with_capacity(lines.len() + for_proxy.len() + 6);
        if !own.host {
            headers.append(HOST, foreign.unwrap_or_else(|| self.host.clone()));
        }
        if !own.accept_encoding {
            headers.append(ACCEPT_ENCODING, self.accept_encoding.clone());
        }
        match framing {
            _ if own.chunked => {}
            Framing::None => {}
            Framing::Length(_) | Framing::Unknown if own.content_length.is_some() => {}
            Framing::Length(length) => {
                headers.append(CONTENT_LENGTH, HeaderValue::from(*length));
            }
            Framing::Chunked | Framing::Unknown => {
                headers.append(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        if !own.user_agent {
            headers.append(USER_AGENT, self.user_agent.clone());
        }
        if matches!(self.audience, Audience::Proxy(_)) && !own.accept {
            headers.append(ACCEPT, HeaderValue::from_static("*/*"));
        }
        let is_replaced = |line: &Line| for_proxy.iter().any(|other| other.name.eq_ignore_ascii_case(&line.name));
        // THR-701: it would reach the origin.
        let is_alone = matches!(self.audience, Audience::OriginAlone);
        let is_secret = |line: &Line| is_alone && line.is_for_proxies();
        let lines = lines.iter().filter(|line| !is_replaced(line) && !is_secret(line)).chain(for_proxy);
        for line in lines.clone() {
            let Some(value) = &line.value else { continue };
            headers.append(name_of(&line.name)?, checked_value(&line.name, value)?);
        }
        if let Some(content_type) = content_type
            && !headers.contains_key(CONTENT_TYPE)
        {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let spelling = book.lookup(lines.filter(|line| line.value.is_some()).map(|line| &*line.name));
        Ok(Head { headers, spelling, close: own.close, asked_chunked: own.chunked, content_length: own.content_length })
    }
}

struct Head {
    headers: HeaderMap,
    spelling: Option<Extensions>,
    close: bool,
    asked_chunked: bool,
    content_length: Option<u64>,
}

enum Framing {
    None,
    Length(u64),
    Chunked,
    /// By chunks, unless the caller's own lines know the length.
    Unknown,
}

/// Judges a request and makes its message. `lines` stand in place of the request's own; `target` is what goes into the
/// request line where that is known already.
pub fn message(
    origin: &Origin,
    defaults: &Defaults,
    book: &CaseBook,
    request: &Request,
    lines: Option<&[Line]>,
    target: Option<Bytes>,
) -> Result<Message, Error> {
    let method = method_of(&request.method)?;
    if &*request.url == b"*" && method != Method::OPTIONS {
        // RFC 9112 §3.2.4: it stands for the server as a whole, of which nothing else can be asked.
        return Err(url::foreign("*"));
    }
    let uri = match (target, &defaults.audience) {
        (Some(target), _) => uri(target)?,
        (None, Audience::Proxy(_)) => uri(Bytes::from(for_proxy(origin, request)?))?,
        (None, _) => uri_of(origin, request)?,
    };
    let own = lines.or(request.headers.as_deref());
    // RFC 9112 §3.2.2: with a target in absolute form, Host names what the target names.
    let foreign = match uri.authority() {
        None => None,
        Some(authority) => Some(value_of(b"Host", authority.as_str().as_bytes())?),
    };
    if foreign.is_none()
        && own.is_none()
        && matches!(request.body, Payload::None)
        && !request.chunked
        && !wants_length(&method)
    {
        let (headers, spelling, close) = &defaults.plain;
        if !headers.is_empty() || defaults.lines.is_empty() {
            let message = Message::new(method, uri, headers.clone(), spelling.clone(), None);
            return Ok(Message { close: *close, ..message });
        }
    }
    let lines = own.unwrap_or(&defaults.lines);
    let (there, length) = match &request.body {
        Payload::None => (false, Some(0)),
        Payload::Whole(body) => (true, Some(body.len() as u64)),
        Payload::Pieces(source) => (true, source.length()),
    };
    let framing = match length {
        _ if request.chunked => Framing::Chunked,
        Some(length) if there || wants_length(&method) => Framing::Length(length),
        Some(_) => Framing::None,
        // BODY-11: a length that only the caller knows stands in his own lines.
        None => Framing::Unknown,
    };
    let head = defaults.head(lines, &framing, request.content_type, book, foreign)?;
    let chunked = request.chunked || head.asked_chunked || (length.is_none() && head.content_length.is_none());
    if let Some(announced) = head.content_length {
        if chunked {
            return Err(invalid_header("Content-Length and Transfer-Encoding exclude one another (RFC 9112 §6.2)"));
        }
        if let Some(actual) = length
            && announced != actual
        {
            return Err(invalid_header(format!("Content-Length says {announced}, but the body has {actual} bytes")));
        }
    }
    let source = match &request.body {
        Payload::None if !chunked => None,
        Payload::None => Some(Source::whole(Bytes::new(), true, None)),
        Payload::Whole(body) => Some(Source::whole(body.clone(), chunked, request.progress.clone())),
        Payload::Pieces(source) => {
            // What is announced is kept, by whoever it was announced.
            source.frame(chunked, if chunked { source.length() } else { length.or(head.content_length) });
            Some(Rc::clone(source))
        }
    };
    let message = Message::new(method, uri, head.headers, head.spelling, source);
    Ok(Message { close: head.close, ..message })
}

/// What the caller's lines decide about the automatic fields and the framing.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one field was given: they are facts, not a state")]
struct Own {
    host: bool,
    accept: bool,
    accept_encoding: bool,
    user_agent: bool,
    content_length: Option<u64>,
    chunked: bool,
    close: bool,
}

impl Own {
    fn of(lines: &[Line]) -> Result<Self, Error> {
        let mut own = Self::default();
        let mut hosts = 0;
        for Line { name, value } in lines {
            let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
            let Some(value) = value else {
                match () {
                    () if is(b"host") => own.host = true,
                    () if is(b"accept-encoding") => own.accept_encoding = true,
                    () if is(b"user-agent") => own.user_agent = true,
                    () => {
                        return Err(invalid_header(format!(
                            "SKIP_HEADER (or null) only supports 'Accept-Encoding', 'Host', 'User-Agent', not '{}'",
                            quote(name)
                        )));
                    }
                }
                continue;
            };
            // The length decides first: most names are none of these.
            match name.len() {
                2 if is(b"te") => return Err(forbidden(name)),
                4 if is(b"host") => {
                    own.host = true;
                    hosts += 1;
                    if hosts > 1 {
                        return Err(invalid_header("Host may be sent once only (RFC 9112 §3.2)"));
                    }
                }
                6 if is(b"accept") => own.accept = true,
                6 if is(b"expect") => return Err(forbidden(name)),
                7 if is(b"upgrade") => return Err(forbidden(name)),
                10 if is(b"connection") => own.connection(value)?,
                10 if is(b"keep-alive") => return Err(forbidden(name)),
                10 if is(b"user-agent") => own.user_agent = true,
                14 if is(b"content-length") => own.length(value)?,
                15 if is(b"accept-encoding") => own.accept_encoding = true,
                16 if is(b"proxy-connection") => return Err(forbidden(name)),
                17 if is(b"transfer-encoding") => own.transfer(value)?,
                _ => {}
            }
        }
        Ok(own)
    }

    /// These lines go out too, and in place of what they name.
    fn yield_to(&mut self, lines: &[Line]) {
        let has = |name: &[u8]| lines.iter().any(|line| line.name.eq_ignore_ascii_case(name));
        self.accept |= has(b"accept");
        self.accept_encoding |= has(b"accept-encoding");
        self.host |= has(b"host");
        self.user_agent |= has(b"user-agent");
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Error> {
        for token in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if !token.eq_ignore_ascii_case(b"keep-alive") {
                return Err(invalid_header(format!(
                    "Connection may be 'close' or 'keep-alive', not '{}'",
                    quote(value)
                )));
            }
        }
        Ok(())
    }

    /// RFC 9110 §8.6: digits alone. Twice, in whatever case, is refused: which of them would count?
    fn length(&mut self, value: &[u8]) -> Result<(), Error> {
        let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let Some(length) = digits.and_then(|text| text.parse().ok()) else {
            return Err(invalid_header(format!("Content-Length is no number: '{}'", quote(value))));
        };
        if self.content_length.replace(length).is_some() {
            return Err(invalid_header("Content-Length may be given once only"));
        }
        Ok(())
    }

    /// The caller's line is kept as it is (BODY-12), so it must end in the coding that we frame by.
    fn transfer(&mut self, value: &[u8]) -> Result<(), Error> {
        let last = value.rsplit(|&b| b == b',').next().unwrap_or(&[]).trim_ascii();
        if self.chunked || !last.eq_ignore_ascii_case(b"chunked") {
            return Err(invalid_header(format!(
                "Transfer-Encoding must be one line that ends in 'chunked', not '{}'",
                quote(value)
            )));
        }
        self.chunked = true;
        Ok(())
    }
}

/// BODY-09: these send no Content-Length when they have no body; every other method, unknown ones too, sends 0. In this
/// alone case does not count, as in urllib3: `get` is another method (RFC 9110 §9.1), but nobody's with a body.
fn wants_length(method: &Method) -> bool {
    const WITHOUT: [&str; 6] = ["GET", "HEAD", "DELETE", "TRACE", "OPTIONS", "CONNECT"];
    match *method {
        Method::GET | Method::HEAD | Method::DELETE | Method::TRACE | Method::OPTIONS | Method::CONNECT => false,
        Method::POST | Method::PUT | Method::PATCH => true,
        _ => !WITHOUT.iter().any(|known| known.eq_ignore_ascii_case(method.as_str())),
    }
}

fn method_of(method: &[u8]) -> Result<Method, Error> {
    Method::from_bytes(method).map_err(|_| {
        Error::new(
            Kind::InvalidMethod,
            format!("Method cannot contain non-token characters '{}' (RFC 9110 §9.1)", quote(method)),
        )
    })
}

/// Lines as the caller spelled them.
pub(crate) fn lines_of<'a>(lines: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<Vec<Line>, Error> {
    lines.map(|(name, value)| Ok(Line { name: latin1(name)?, value: value.map(latin1).transpose()? })).collect()
}

/// Lines as they go out by themselves: on CONNECT.
///
/// # Errors
/// `InvalidHeader` for what cannot be sent, or is the connection's own.
pub(crate) fn fields_of(lines: &[Line], book: &CaseBook) -> Result<(HeaderMap, Option<Extensions>), Error> {
    let own = Own::of(lines)?;
    if own.content_length.is_some() || own.chunked {
        return Err(invalid_header("CONNECT has no body, so that proxyHeaders can announce none (RFC 9110 §9.3.6)"));
    }
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let Some(value) = &line.value else { continue };
        headers.append(name_of(&line.name)?, checked_value(&line.name, value)?);
    }
    let spelling = book.lookup(lines.iter().filter(|line| line.value.is_some()).map(|line| &*line.name));
    Ok((headers, spelling))
}

/// The target of a request that a proxy passes on: absolute, without user info (WART-10).
fn for_proxy(origin: &Origin, request: &Request) -> Result<String, Error> {
    url::target_for_proxy(origin, &text_of(request)?, request.assert_same_host)
}

/// The URL with its query.
fn text_of(request: &Request) -> Result<Cow<'_, str>, Error> {
    let text =
        std::str::from_utf8(&request.url).map_err(|_| Error::new(Kind::InvalidUrl, "the URL is not valid UTF-8"))?;
    if request.fields.is_empty() {
        return Ok(text.into());
    }
    let pairs = query::encode(request.fields.iter().map(|(name, value)| (&**name, &**value)));
    Ok(query::join(text, &pairs).into())
}

fn uri_of(origin: &Origin, request: &Request) -> Result<Uri, Error> {
    let text = text_of(request)?;
    let target = url::target(origin, &text, request.assert_same_host)?;
    let bytes = match target {
        // The common case: the caller's own bytes, shared.
        Cow::Borrowed(same) if same.len() == request.url.len() && request.fields.is_empty() => request.url.clone(),
        other => Bytes::from(other.into_owned()),
    };
    uri(bytes)
}

fn uri(target: Bytes) -> Result<Uri, Error> {
    Uri::from_maybe_shared(target)
        .map_err(|error| Error::new(Kind::InvalidUrl, format!("the request target cannot be sent: {error}")))
}

fn name_of(name: &[u8]) -> Result<HeaderName, Error> {
    HeaderName::from_bytes(name).map_err(|_| invalid_header(format!("Invalid header name '{}'", quote(name))))
}

/// The message says where, and shows nothing of the value: it may be a key, whatever the header's name is.
fn checked_value(name: &[u8], value: &Bytes) -> Result<HeaderValue, Error> {
    HeaderValue::from_maybe_shared(value.clone()).map_err(|_| {
        let is_control = |&b: &u8| (b < 0x20 && b != b'\t') || b == 0x7f;
        let at = value.iter().position(is_control).unwrap_or_default();
        let byte = value.get(at).filter(|b| is_control(b)).map_or_else(String::new, |b| format!(" ({b:#04X})"));
        let name = quote(name);
        invalid_header(format!(
            "Invalid value of header '{name}': byte {at} (counted from 0) is a control character{byte}"
        ))
    })
}

fn value_of(name: &[u8], value: &[u8]) -> Result<HeaderValue, Error> {
    checked_value(name, &Bytes::copy_from_slice(value))
}

/// HDR-04: text goes out as ISO-8859-1; anything beyond needs a Buffer.
fn latin1(text: &str) -> Result<Bytes, Error> {
    if text.is_ascii() {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    }
    text.chars()
        .map(|c| u8::try_from(u32::from(c)))
        .collect::<Result<Vec<u8>, _>>()
        .map(Bytes::from)
        .map_err(|_| invalid_header("a header value holds a character beyond ISO-8859-1; pass a Buffer"))
}

fn forbidden(name: &[u8]) -> Error {
    invalid_header(format!("'{}' is a field of the connection, which ferropool keeps itself", quote(name)))
}

fn invalid_header(message: impl Into<String>) -> Error {
    Error::new(Kind::InvalidHeader, message)
}

/// The map of fields panics when it is to hold 32,768 places, a third of which stay empty.
const MOST_LINES: usize = 24_000;
