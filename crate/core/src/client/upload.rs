//! What a request carries, as hyper wants it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A request's body. Bytes are shared, so that an attempt can be made again.
#[derive(Clone, Debug, Default)]
pub enum Upload {
    /// None.
    #[default]
    Empty,
    /// Length known: framed by Content-Length.
    Sized(Bytes),
    /// Framed by chunked even where the length is known (BODY-10); one piece, one chunk.
    Chunked(Bytes),
    /// Everything has been handed over.
    Done,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match std::mem::replace(&mut *self, Self::Done) {
            Self::Empty | Self::Done => return Poll::Ready(None),
            Self::Sized(piece) | Self::Chunked(piece) => piece,
        };
        if piece.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Done => true,
            Self::Sized(piece) => piece.is_empty(),
            // hyper takes "already at its end" for "no body" and would leave the last chunk out.
            Self::Chunked(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Done => SizeHint::with_exact(0),
            Self::Sized(piece) => SizeHint::with_exact(piece.len() as u64),
            Self::Chunked(_) => SizeHint::default(),
        }
    }
}
