//! What only the caller's side can answer, as a question that parks the call: the loop stays here, whoever holds the
//! functions only answers. Deadlines run on while a call is parked; a function that throws ends the call with what it
//! threw.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use ferropool_policy::error::Error;

use super::request::Line;
use super::upload::Source;

/// Which questions a call has asked for. Most calls have none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// `jar`: cookies before each attempt, and what an answer sets.
    pub cookies: bool,
    /// `beforeAttempt`: a gate before each attempt.
    pub gate: bool,
    /// A `Retry` whose methods are the caller's own judges every event.
    pub verdict: bool,
}

impl Asks {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Who answers, somewhere else.
pub trait Asker {
    /// Puts a question; one at a time. Dropping the future takes it back.
    fn ask<'a>(&'a self, question: Question<'a>) -> Answering<'a>;

    /// A body that begins again: so many bytes, where that is known. The answer to [`Question::Body`] was yes.
    fn body(&self, length: Option<u64>) -> Rc<Source>;
}

/// An answer on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, Error>> + 'a>>;

/// A question.
#[derive(Debug)]
pub enum Question<'a> {
    /// What goes into the Cookie field for this URL? → [`Answer::Text`]
    Cookies {
        /// Absolute.
        url: &'a str,
    },
    /// These Set-Cookie lines came from this URL. → [`Answer::Done`]
    SetCookies {
        /// Absolute.
        url: &'a str,
        /// As received.
        lines: Vec<Bytes>,
    },
    /// May this attempt be made, and with which header lines? → [`Answer::Lines`]
    Gate {
        /// From 1, within the hop.
        number: u32,
        /// From 0.
        hop: u32,
        /// As it goes on the wire.
        method: &'a [u8],
        /// Absolute.
        url: &'a str,
        /// In force for this attempt.
        lines: &'a [Line],
        /// What the attempt before met.
        error: Option<&'a Error>,
    },
    /// What does the caller's own `Retry` say to this? → [`Answer::Give`], [`Answer::Again`]
    Verdict {
        /// Of the attempt.
        method: &'a [u8],
        /// Absolute.
        url: &'a str,
        /// What happened.
        event: Happened<'a>,
        /// Whether an answer that leads elsewhere is to be followed.
        redirect: bool,
    },
    /// Where is this host? → [`Answer::Addresses`]
    Resolve {
        /// Normalised.
        host: &'a str,
        /// The one that is dialled.
        port: u16,
    },
    /// Can the request's body be produced again from its beginning? → [`Answer::Body`]
    Body,
}

/// What a `Retry` judges.
#[derive(Debug)]
pub enum Happened<'a> {
    /// The attempt failed.
    Error(&'a Error),
    /// A head came.
    Answer {
        /// Of the answer.
        status: u16,
        /// Of the answer.
        headers: &'a http::HeaderMap,
        /// A Location that would be followed, absolute.
        location: Option<&'a str>,
    },
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// Nothing to say.
    Done,
    /// A text; `None` for none.
    Text(Option<Bytes>),
    /// Header lines; `None` where they stay as they are.
    Lines(Option<Vec<Line>>),
    /// The attempt's outcome stands.
    Give,
    /// Another attempt, after so long.
    Again(Duration),
    /// Addresses, `address` or `address:port`; `None`: the system is to be asked.
    Addresses(Option<Vec<String>>),
    /// The body begins again, and has so many bytes; `None` where that is not known.
    Body(Option<u64>),
    /// It cannot be produced again.
    NoBody,
}
