//! Questions on their way to JavaScript, and answers on their way back. A question goes out as a completion and its call
//! waits; the answer comes as a submission with the question's number. Only slow paths ask, so both are JSON.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use ferropool_core::client::ask::{Answer, Answering, Asker, Happened, Question};
use ferropool_core::client::line::{Line as Way, Pace};
use ferropool_core::client::request::Line;
use ferropool_core::client::upload::Source;
use ferropool_policy::error::{Error, Kind};
use ferropool_policy::settings;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::engine::{Link, Outgoing};
use crate::layout::completion;
use crate::stream::{Flows, Wire};
use crate::submission::Id;
use crate::telling::{error_text, latin1};

/// The questions that wait for an answer.
pub(crate) struct Questions {
    link: Arc<Link>,
    open: RefCell<HashMap<u32, oneshot::Sender<Reply>>>,
}

impl Questions {
    pub(crate) fn new(link: Arc<Link>) -> Rc<Self> {
        Rc::new(Self { link, open: RefCell::default() })
    }

    /// An answer came. One to a question that nobody waits for any more is dropped.
    pub(crate) fn answer(&self, number: u32, text: &[u8]) {
        let Some(waiting) = self.open.borrow_mut().remove(&number) else { return };
        let reply = serde_json::from_slice(text).unwrap_or(Reply::Threw);
        // Whoever asked may have gone in this turn.
        drop(waiting.send(reply));
    }

    fn ask(&self) -> (u32, oneshot::Receiver<Reply>) {
        let number = self.link.questions.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.open.borrow_mut().insert(number, sender);
        (number, receiver)
    }
}

/// An answer as the facade writes it.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Reply {
    Done,
    Text {
        text: Option<String>,
    },
    Lines {
        lines: Option<Vec<(String, Option<String>)>>,
    },
    Give,
    Again {
        delay: f64,
    },
    Addresses {
        addresses: Option<Vec<String>>,
    },
    Body {
        length: Option<f64>,
    },
    NoBody,
    /// The function threw; the facade keeps what.
    Threw,
}

/// A call's way to ask its caller.
pub(crate) struct Caller {
    id: Id,
    out: Rc<Outgoing>,
    questions: Rc<Questions>,
    flows: Weak<Flows>,
    progress: bool,
}

impl Caller {
    pub(crate) fn new(
        id: Id,
        out: &Rc<Outgoing>,
        questions: &Rc<Questions>,
        flows: &Rc<Flows>,
        progress: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            out: Rc::clone(out),
            questions: Rc::clone(questions),
            flows: Rc::downgrade(flows),
            progress,
        })
    }
}

impl Asker for Caller {
    fn ask<'a>(&'a self, question: Question<'a>) -> Answering<'a> {
        Box::pin(async move {
            let (number, receiver) = self.questions.ask();
            let open = Open { questions: &self.questions, number };
            let mut text = as_json(&question);
            text["number"] = json!(number);
            self.out.add(|block| block.notice(completion::QUESTION, self.id, &text));
            let reply = receiver.await.unwrap_or(Reply::Threw);
            drop(open);
            answer(reply)
        })
    }

    fn body(&self, length: Option<u64>) -> Rc<Source> {
        let line: Rc<dyn Way> = Rc::new(Wire { id: self.id, out: Rc::clone(&self.out) });
        let pace = self.progress.then(|| Pace::new(Rc::clone(&line)));
        let source = Source::of(line, length, pace);
        if let Some(flows) = self.flows.upgrade() {
            flows.begin_again(self.id, Rc::clone(&source));
        }
        source
    }
}

/// A question that is out; dropped, nobody waits for its answer any more.
struct Open<'q> {
    questions: &'q Questions,
    number: u32,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.questions.open.borrow_mut().remove(&self.number);
    }
}

fn as_json(question: &Question<'_>) -> Value {
    match question {
        Question::Cookies { url } => json!({ "kind": "cookies", "url": url }),
        Question::SetCookies { url, lines } => json!({
            "kind": "setCookies", "url": url, "lines": lines.iter().map(|line| latin1(line)).collect::<Vec<_>>(),
        }),
        Question::Gate { number, hop, method, url, lines, error } => json!({
            "kind": "gate",
            "attempt": number,
            "hop": hop,
            "method": latin1(method),
            "url": url,
            "lines": lines.iter().map(|Line { name, value }| json!([latin1(name), value.as_deref().map(latin1)]))
                .collect::<Vec<_>>(),
            "error": error.map(error_text),
        }),
        Question::Verdict { method, url, event, redirect } => {
            let event = match event {
                Happened::Error(error) => json!({ "error": whole_text(error) }),
                Happened::Answer { status, headers, location } => json!({
                    "status": status,
                    "headers": headers.iter().map(|(name, value)| json!([name.as_str(), latin1(value.as_bytes())]))
                        .collect::<Vec<_>>(),
                    "location": location,
                }),
            };
            json!({ "kind": "verdict", "method": latin1(method), "url": url, "event": event, "redirect": redirect })
        }
        Question::Resolve { host, port } => json!({ "kind": "resolve", "host": host, "port": port }),
        Question::Body => json!({ "kind": "body" }),
    }
}

/// An error for a `Retry` of the caller's own, which may make it the call's outcome: with what it holds of a body, if that is not
/// more than a MiB.
fn whole_text(error: &Error) -> Value {
    let mut told = error_text(error);
    if let Some(partial) = error.partial().filter(|partial| partial.len() <= 1024 * 1024) {
        let mut innermost = &mut told;
        while innermost["below"].is_object() {
            innermost = &mut innermost["below"];
        }
        innermost["partial"] = BASE64_STANDARD.encode(partial).into();
    }
    told
}

fn answer(reply: Reply) -> Result<Answer, Error> {
    Ok(match reply {
        Reply::Done => Answer::Done,
        Reply::Text { text } => Answer::Text(text.map(|text| octets(&text)).transpose()?),
        Reply::Lines { lines } => Answer::Lines(lines.map(lines_of).transpose()?),
        Reply::Give => Answer::Give,
        Reply::Again { delay } => Answer::Again(settings::delay(delay)),
        Reply::Addresses { addresses } => Answer::Addresses(addresses),
        Reply::Body { length } => Answer::Body(length.filter(|length| *length >= 0.0).map(|length| length as u64)),
        Reply::NoBody => Answer::NoBody,
        Reply::Threw => {
            return Err(Error::new(Kind::Aborted, "a function of the caller's threw").with_reason(THREW));
        }
    })
}

fn lines_of(lines: Vec<(String, Option<String>)>) -> Result<Vec<Line>, Error> {
    lines
        .into_iter()
        .map(|(name, value)| Ok(Line { name: octets(&name)?, value: value.map(|value| octets(&value)).transpose()? }))
        .collect()
}

fn octets(text: &str) -> Result<Bytes, Error> {
    text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<Vec<u8>, _>>().map(Bytes::from).map_err(|_| {
        Error::new(Kind::InvalidHeader, "a header value holds a character beyond ISO-8859-1; pass a Buffer")
    })
}

/// The reason of a call that ended because a function threw: the facade rejects with what that was.
const THREW: &str = "ERR_ASKED";
