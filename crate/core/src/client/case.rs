//! The spelling of request header names on the wire.
//!
//! hyper writes names in title case, or as a map in the request's extensions says. The map's type is private to hyper
//! and only its own parser makes one: so each distinct set of spellings is parsed once by a hyper client over a
//! transport in memory, and the extensions it leaves are kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Extensions;
use http_body_util::Empty;
use hyper::client::conn::http1::Builder;
use hyper::rt::{Read, ReadBufCursor, Write};

/// Spellings already learnt. One an engine.
#[derive(Debug, Default)]
pub struct CaseBook {
    known: RefCell<HashMap<Vec<u8>, Extensions>>,
    /// Where the names of a message are put together to be looked up: most sets are known.
    key: RefCell<Vec<u8>>,
}

impl CaseBook {
    /// The extensions that make hyper write these names as they are spelled; `None` where title case says the same.
    pub fn lookup<'a>(&self, names: impl Iterator<Item = &'a [u8]> + Clone) -> Option<Extensions> {
        if names.clone().all(is_title_case) {
            return None;
        }
        let mut key = self.key.borrow_mut();
        key.clear();
        for name in names {
            key.extend_from_slice(name);
            key.push(b'\n');
        }
        let mut known = self.known.borrow_mut();
        if let Some(extensions) = known.get(&**key) {
            return Some(extensions.clone());
        }
        let learnt = learn(&key)?;
        if known.len() >= MOST_KNOWN {
            // Names made up for each request would grow it without end; a crawler has a handful of sets.
            known.clear();
        }
        // With it goes what a message of thousands of names needed.
        known.insert(mem::take(&mut *key), learnt.clone());
        Some(learnt)
    }
}

/// As hyper writes it by itself: a capital first and after each hyphen, lower case elsewhere.
fn is_title_case(name: &[u8]) -> bool {
    let mut first = true;
    name.iter().all(|&b| {
        let fits = if first { !b.is_ascii_lowercase() } else { !b.is_ascii_uppercase() };
        first = b == b'-';
        fits
    })
}

fn learn(names: &[u8]) -> Option<Extensions> {
    let mut response = b"HTTP/1.1 200 OK\r\n".to_vec();
    for name in names.split(|&b| b == b'\n').filter(|name| !name.is_empty()) {
        response.extend_from_slice(name);
        response.extend_from_slice(b": 0\r\n");
    }
    response.extend_from_slice(b"\r\n");
    let mut cx = Context::from_waker(Waker::noop());
    let mut builder = Builder::new();
    // As many as a message can have, and room for them all: hyper's own bounds are for what strangers send.
    let count = memchr::memchr_iter(b'\n', names).count();
    builder.preserve_header_case(true).max_headers(count.max(1)).max_buf_size((response.len() * 2).max(LEAST_BUFFER));
    let mut handshake = pin!(builder.handshake::<_, Empty<Bytes>>(Memory { answer: response.into(), asked: false }));
    let Poll::Ready(Ok((mut sender, connection))) = handshake.as_mut().poll(&mut cx) else { return None };
    let mut connection = pin!(connection);
    // The first turn makes the sender ready, the second writes the request, the third reads the response.
    let _ = connection.as_mut().poll(&mut cx);
    let mut answer = pin!(sender.send_request(http::Request::new(Empty::new())));
    for _ in 0..4 {
        let _ = connection.as_mut().poll(&mut cx);
        if let Poll::Ready(response) = answer.as_mut().poll(&mut cx) {
            return response.ok().map(|response| response.into_parts().0.extensions);
        }
    }
    None
}

/// A transport that answers every request with the same bytes, once something has been written.
struct Memory {
    answer: Bytes,
    asked: bool,
}

impl Read for Memory {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.asked || self.answer.is_empty() {
            return Poll::Pending;
        }
        let most = buf.remaining().min(self.answer.len());
        buf.put_slice(&self.answer.split_to(most));
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const MOST_KNOWN: usize = 512;
/// hyper takes no less.
const LEAST_BUFFER: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_case_needs_no_map() {
        let book = CaseBook::default();
        assert!(book.lookup([b"Host".as_slice(), b"Accept-Encoding", b"X-2"].into_iter()).is_none());
        assert!(book.known.borrow().is_empty());
    }

    #[test]
    fn other_spellings_are_learnt_once() {
        let book = CaseBook::default();
        for _ in 0..2 {
            let learnt = book.lookup([b"Host".as_slice(), b"x-lower", b"ETag", b"CONTENT-LENGTH"].into_iter());
            assert!(learnt.is_some_and(|extensions| !extensions.is_empty()));
        }
        assert_eq!(book.known.borrow().len(), 1);
    }

    #[test]
    fn thousands_of_names_keep_their_spelling() {
        let names: Vec<String> = (0..5_000).map(|n| format!("x-{n}-{}", "n".repeat(100))).collect();
        let learnt = CaseBook::default().lookup(names.iter().map(String::as_bytes));
        assert!(learnt.is_some_and(|extensions| !extensions.is_empty()));
    }

    #[test]
    fn made_up_names_do_not_grow_the_book() {
        let book = CaseBook::default();
        for n in 0..MOST_KNOWN + 10 {
            let name = format!("x-{n}");
            assert!(book.lookup([name.as_bytes()].into_iter()).is_some());
        }
        assert!(book.known.borrow().len() <= MOST_KNOWN);
    }
}
