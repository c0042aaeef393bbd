//! One request on a stream (HTTP/2): its head as RFC 9113 §8.3 wants it, its body under the peer's windows, and the
//! response's head.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use ferropool_policy::error::{Error, Kind, Phase};
use ferropool_policy::origin::Scheme;
use ferropool_policy::settings::Limits;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::header::{CONNECTION, HOST, HeaderMap, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{Method, Request, Response, Uri};
use tokio::task::AbortHandle;

use super::failure;
use super::upload::{Source, Upload};
use super::way::StreamWay;
use crate::conn::head::MOST_INTERIM;

/// The task that sends a body. It ends with its exchange.
#[derive(Debug)]
pub(super) struct Pump(AbortHandle);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The head that goes out: no field of the connection's own (RFC 9113 §8.2.2), the authority in place of Host.
pub(super) fn head_of(scheme: Scheme, http: Request<Upload>) -> Result<Request<()>, Error> {
    let (mut parts, _) = http.into_parts();
    if parts.method == Method::CONNECT {
        // It would have neither path nor scheme, and be a tunnel (RFC 9113 §8.5, H2-06).
        return Err(Error::new(Kind::InvalidMethod, "CONNECT: there is no tunnel over HTTP/2"));
    }
    let authority = match (parts.headers.get(HOST), parts.uri.authority()) {
        (Some(host), _) => Authority::from_maybe_shared(Bytes::copy_from_slice(host.as_bytes()))
            .map_err(|error| Error::new(Kind::InvalidHeader, format!("Host is no authority: {error}")))?,
        (None, Some(authority)) => authority.clone(),
        (None, None) => return Err(Error::new(Kind::InvalidHeader, "an HTTP/2 request needs a Host")),
    };
    // RFC 9113 §8.3.1.
    if authority.as_str().contains('@') {
        return Err(Error::new(Kind::InvalidHeader, "Host is no authority: HTTP/2 has no user information in it"));
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if scheme == Scheme::Https { UriScheme::HTTPS } else { UriScheme::HTTP });
    uri.authority = Some(authority);
    uri.path_and_query = Some(match parts.uri.into_parts().path_and_query {
        Some(there) if there.as_str() != "" => there,
        _ => PathAndQuery::from_static("/"),
    });
    parts.uri = Uri::from_parts(uri)
        .map_err(|error| Error::new(Kind::InvalidUrl, format!("the request target cannot be sent: {error}")))?;
    parts.headers = without(parts.headers);
    parts.version = http::Version::HTTP_2;
    parts.extensions = http::Extensions::new();
    refuse_blanks(&parts.headers)?;
    Ok(Request::from_parts(parts, ()))
}

/// Without what HTTP/2 has elsewhere or not at all. What is left keeps its order, which a removal in place would not (HDR-01).
fn without(mut headers: HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut last: Option<http::HeaderName> = None;
    for (name, value) in headers.drain() {
        last = name.or(last);
        if let Some(name) = &last
            && !matches!(*name, HOST | TRANSFER_ENCODING | CONNECTION)
        {
            kept.append(name, value);
        }
    }
    kept
}

/// H2-02: RFC 9113 §8.2.1.
fn refuse_blanks(headers: &HeaderMap) -> Result<(), Error> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let padded = headers.iter().find(|(_, value)| {
        let value = value.as_bytes();
        is_blank(value.first()) || is_blank(value.last())
    });
    match padded {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(
            Kind::InvalidHeader,
            format!("Invalid value of header '{name}': HTTP/2 has no blanks around it (RFC 9113 §8.2.1)"),
        )),
    }
}

/// Sends the head and begins with the body; what comes is waited for with [`response`].
pub(super) async fn send(
    mut sender: SendRequest<Bytes>,
    head: Request<()>,
    source: Option<Rc<Source>>,
    way: &Rc<StreamWay>,
) -> Result<(ResponseFuture, Option<Pump>), Error> {
    poll_fn(|cx| sender.poll_ready(cx)).await.map_err(|error| failure::of_stream(&error, way, source.as_deref()))?;
    let bare = match &source {
        None => true,
        // What is announced as empty is over with its head.
        Some(source) => source.length() == Some(0) && source.is_handed(),
    };
    let (coming, body) =
        sender.send_request(head, bare).map_err(|error| failure::of_stream(&error, way, source.as_deref()))?;
    way.step();
    let Some(source) = source.filter(|_| !bare) else { return Ok((coming, None)) };
    let mut pump = Box::pin(pump(source, body, Rc::clone(way)));
    // What fits into the windows at once needs no task.
    let done = poll_fn(|cx| Poll::Ready(pump.as_mut().poll(cx).is_ready())).await;
    if done {
        return Ok((coming, None));
    }
    Ok((coming, Some(Pump(tokio::task::spawn_local(pump).abort_handle()))))
}

/// Gives the body to the connection, no faster than the peer's windows open.
async fn pump(source: Rc<Source>, mut body: SendStream<Bytes>, way: Rc<StreamWay>) {
    loop {
        let piece = poll_fn(|cx| {
            // The peer may have no use for the rest (RFC 9113 §8.1); then nobody asks the source for it.
            if body.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            source.poll_piece(cx).map(Some)
        })
        .await;
        let mut piece = match piece {
            None => return,
            Some(None) => {
                drop(body.send_data(Bytes::new(), true));
                return way.step();
            }
            // The message is broken off, never ended well; the source says why.
            Some(Some(Err(_))) => return body.send_reset(h2::Reason::CANCEL),
            Some(Some(Ok(piece))) => piece,
        };
        while !piece.is_empty() {
            body.reserve_capacity(piece.len());
            let room = if body.capacity() > 0 {
                body.capacity()
            } else {
                way.block();
                match poll_fn(|cx| body.poll_capacity(cx)).await {
                    Some(Ok(room)) => room,
                    Some(Err(_)) | None => return,
                }
            };
            let next = piece.split_to(room.min(piece.len()));
            let last = piece.is_empty() && source.is_handed();
            if body.send_data(next, last).is_err() {
                return;
            }
            way.step();
            if last {
                return;
            }
        }
    }
}

/// Waits for the response's head; informational ones are counted and passed over (THR-414).
pub(super) async fn response(
    mut coming: ResponseFuture,
    way: &StreamWay,
    source: Option<&Source>,
    limits: &Limits,
) -> Result<Response<RecvStream>, Error> {
    let mut interim = 0;
    poll_fn(|cx| {
        while let Poll::Ready(Some(informational)) = coming.poll_informational(cx) {
            if let Err(error) = informational {
                return Poll::Ready(Err(failure::of_stream(&error, way, source)));
            }
            interim += 1;
            if interim > MOST_INTERIM {
                let message = format!("Connection aborted: more than {MOST_INTERIM} informational responses");
                return Poll::Ready(Err(Error::new(Kind::Protocol, message)
                    .with_reason("ERR_INFORMATIONAL_FLOOD")
                    .in_phase(Phase::Headers)));
            }
        }
        let head = std::task::ready!(std::pin::Pin::new(&mut coming).poll(cx));
        Poll::Ready(match head {
            Err(error) => Err(failure::of_stream(&error, way, source)),
            Ok(response) => within(response.headers(), limits).map(|()| response),
        })
    })
    .await
}

/// RFC 9113 §6.5.2: the size of a list of fields is that of its names and values and 32 bytes for each.
pub(super) fn within(headers: &HeaderMap, limits: &Limits) -> Result<(), Error> {
    let too_large = |limit: &'static str, allowed: u32, unit: &str| {
        let message = format!("the response's head passed the limit '{limit}' of {allowed} {unit}");
        Error::new(Kind::TooLarge, message).with_limit(limit, u64::from(allowed)).in_phase(Phase::Headers)
    };
    if headers.len() > limits.header_count as usize {
        return Err(too_large("headerCount", limits.header_count, "field lines"));
    }
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ENTRY).sum();
    if size > limits.header_bytes as usize {
        return Err(too_large("headerBytes", limits.header_bytes, "bytes"));
    }
    Ok(())
}

/// What a field costs beside its name and value.
const ENTRY: usize = 32;
