//! The response's head as it came off the wire, beside hyper's parse of it.
//!
//! hyper drops a field line that it cannot use without a word and repairs others; it counts neither 1xx answers nor the
//! bytes of a head. So the lines are kept and counted here, and compared with what hyper made of them: a difference
//! costs the connection (RFC 9112 §2.2, §5; "lenient in what is read, strict in what it means").

use ferropool_policy::error::{Error, Kind, Phase, quote};
use ferropool_policy::settings::Limits;
use memchr::memchr;

/// What feeding a piece of the stream led to.
#[derive(Debug)]
pub enum Scanned {
    /// Go on.
    Fine,
    /// The connection must end with this.
    Breach(Error),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first byte of a request, or past the head: nothing is looked at.
    #[default]
    Idle,
    /// Inside a head, the interim ones (1xx) included.
    Head,
}

/// A head in the making, and afterwards the last final head.
#[derive(Debug, Default)]
pub struct HeadScan {
    state: State,
    /// The current head's bytes, without the blank lines that may precede it.
    bytes: Vec<u8>,
    /// Where the current line begins in `bytes`.
    line_start: usize,
    /// Field lines, the status line not among them; a fold counts as a line of its own.
    lines: u32,
    folds: u32,
    /// Field lines with a blank before the colon (RFC 9112 §5.1).
    spaced: u32,
    bare_lf: u32,
    crlf: u32,
    leading_blank: u32,
    interim: u32,
    limits: Limits,
}

impl HeadScan {
    /// A request is about to be sent: the next bytes are its response's head.
    pub fn begin(&mut self, limits: &Limits) {
        self.state = State::Head;
        self.limits = *limits;
        self.interim = 0;
        self.reset_head();
    }

    /// The exchange is over and went well: what an idle connection would hold for nothing is let go.
    pub fn rest(&mut self) {
        if self.bytes.capacity() > KEPT_CAPACITY {
            self.reset_head();
            self.bytes = Vec::new();
        }
    }

    /// The limits of the current exchange.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The head as received, its blank line included once it is complete.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the final head is complete.
    pub fn is_complete(&self) -> bool {
        self.state == State::Idle && !self.bytes.is_empty()
    }

    /// Field lines of the final head, folds not counted: as many fields hyper should have found.
    pub fn fields(&self) -> u32 {
        self.lines - self.folds
    }

    /// Whether a field was folded (RFC 9112 §5.2).
    pub fn folded(&self) -> bool {
        self.folds > 0
    }

    /// Whether a blank stood before a colon.
    pub fn spaced(&self) -> bool {
        self.spaced > 0
    }

    /// Whether some lines ended in CRLF and others in a bare LF.
    pub fn mixed_line_ends(&self) -> bool {
        self.bare_lf > 0 && self.crlf > 0
    }

    /// Blank lines that preceded the status line (RFC 9112 §2.2).
    pub fn leading_blank(&self) -> u32 {
        self.leading_blank
    }

    /// The field lines of the final head, as received, without their line ends.
    pub fn field_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes
            .split(|&b| b == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .skip(1)
            .filter(|line| !line.is_empty())
    }

    /// The status line as received.
    pub fn status_line(&self) -> &[u8] {
        let line = self.bytes.split(|&b| b == b'\n').next().unwrap_or(&[]);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Looks at a piece of the stream.
    pub fn feed(&mut self, mut piece: &[u8]) -> Scanned {
        while self.state == State::Head {
            let Some(end) = memchr(b'\n', piece) else {
                self.bytes.extend_from_slice(piece);
                return self.within_bytes();
            };
            let (line_end, rest) = piece.split_at(end + 1);
            piece = rest;
            self.bytes.extend_from_slice(line_end);
            if let breach @ Scanned::Breach(_) = self.within_bytes() {
                return breach;
            }
            if let breach @ Scanned::Breach(_) = self.line_ended() {
                return breach;
            }
        }
        Scanned::Fine
    }

    fn within_bytes(&self) -> Scanned {
        let allowed = self.limits.header_bytes;
        if self.bytes.len() <= allowed as usize {
            return Scanned::Fine;
        }
        Scanned::Breach(too_large("headerBytes", u64::from(allowed), "bytes"))
    }

    fn line_ended(&mut self) -> Scanned {
        let line = &self.bytes[self.line_start..];
        let (content, crlf) = match line {
            [content @ .., b'\r', b'\n'] => (content, true),
            [content @ .., b'\n'] => (content, false),
            _ => return Scanned::Fine,
        };
        if content.is_empty() && self.line_start == 0 {
            self.leading_blank += 1;
            self.bytes.clear();
            if self.leading_blank > MOST_LEADING_BLANK {
                return Scanned::Breach(protocol("ERR_LEADING_LINES", "the response began with too many empty lines"));
            }
            return Scanned::Fine;
        }
        if crlf {
            self.crlf += 1;
        } else {
            self.bare_lf += 1;
        }
        if content.is_empty() {
            return self.head_ended();
        }
        if self.line_start > 0 {
            self.lines += 1;
            if matches!(content[0], b' ' | b'\t') {
                self.folds += 1;
            } else if let Some(colon) = memchr(b':', content)
                && content[..colon].ends_with(b" ") | content[..colon].ends_with(b"\t")
            {
                self.spaced += 1;
            }
            if self.fields() > self.limits.header_count {
                return Scanned::Breach(too_large("headerCount", u64::from(self.limits.header_count), "field lines"));
            }
        }
        self.line_start = self.bytes.len();
        Scanned::Fine
    }

    /// A blank line after a status line: an interim head (RFC 9110 §15.2) makes room for the next, a final one stays.
    fn head_ended(&mut self) -> Scanned {
        match interim_status(&self.bytes) {
            None => {
                self.state = State::Idle;
                Scanned::Fine
            }
            Some(101) => {
                Scanned::Breach(protocol("ERR_UNEXPECTED_UPGRADE", "the response is a 101 that nobody asked for"))
            }
            Some(status) => {
                if self.field_lines().any(announces_body) {
                    return Scanned::Breach(protocol(
                        "ERR_INFORMATIONAL_BODY",
                        &format!("a {status} response announced a body"),
                    ));
                }
                self.interim += 1;
                if self.interim > MOST_INTERIM {
                    return Scanned::Breach(protocol(
                        "ERR_INFORMATIONAL_FLOOD",
                        &format!("more than {MOST_INTERIM} informational responses to one request"),
                    ));
                }
                self.reset_head();
                Scanned::Fine
            }
        }
    }

    fn reset_head(&mut self) {
        self.bytes.clear();
        self.line_start = 0;
        self.lines = 0;
        self.folds = 0;
        self.spaced = 0;
        self.bare_lf = 0;
        self.crlf = 0;
        self.leading_blank = 0;
    }
}

/// The status of a head whose status line says 1xx.
fn interim_status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    match rest {
        [_, b' ', b'1', tens, ones, b' ' | b'\r' | b'\n', ..] if tens.is_ascii_digit() && ones.is_ascii_digit() => {
            Some(100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0'))
        }
        _ => None,
    }
}

/// Content-Length other than 0, or any Transfer-Encoding: neither belongs on a 1xx (RFC 9110 §8.6, RFC 9112 §6.1).
fn announces_body(line: &[u8]) -> bool {
    let Some(colon) = memchr(b':', line) else { return false };
    let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
    name.eq_ignore_ascii_case(b"transfer-encoding") || (name.eq_ignore_ascii_case(b"content-length") && value != b"0")
}

fn protocol(reason: &'static str, message: &str) -> Error {
    Error::new(Kind::Protocol, format!("Connection aborted: {}", quote(message.as_bytes())))
        .with_reason(reason)
        .in_phase(Phase::Headers)
}

fn too_large(limit: &'static str, allowed: u64, unit: &str) -> Error {
    Error::new(Kind::TooLarge, format!("the response's head passed the limit '{limit}' of {allowed} {unit}"))
        .with_limit(limit, allowed)
        .in_phase(Phase::Headers)
}

/// 1xx responses to one request.
pub(crate) const MOST_INTERIM: u32 = 16;
/// Blank lines before a status line.
const MOST_LEADING_BLANK: u32 = 4;
/// A head larger than this gives its memory back when the connection becomes idle.
const KEPT_CAPACITY: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pieces: &[&[u8]]) -> (HeadScan, Option<Error>) {
        let mut scan = HeadScan::default();
        scan.begin(&Limits::default());
        for piece in pieces {
            if let Scanned::Breach(error) = scan.feed(piece) {
                return (scan, Some(error));
            }
        }
        (scan, None)
    }

    // THR-126 (the tap's part)
    #[test]
    fn every_split_of_a_head_gives_the_same_count() {
        let head =
            b"\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n 3\r\n\r\nbody\r\n\r\n";
        for cut in 0..=head.len() {
            let (scan, error) = scan(&[&head[..cut], &head[cut..]]);
            assert!(error.is_none());
            assert!(scan.is_complete(), "cut at {cut}");
            assert_eq!((scan.fields(), scan.folded()), (2, true), "cut at {cut}");
            assert_eq!(scan.status_line(), b"HTTP/1.1 200 OK");
            assert_eq!(scan.field_lines().count(), 3);
        }
    }

    #[test]
    fn line_ends_are_told_apart() {
        let (lf, _) = scan(&[b"HTTP/1.1 200 OK\nA: 1\n\n"]);
        assert!(lf.is_complete() && !lf.mixed_line_ends());
        let (mixed, _) = scan(&[b"HTTP/1.1 200 OK\r\nA: 1\n\r\n"]);
        assert!(mixed.is_complete() && mixed.mixed_line_ends());
    }

    #[test]
    fn sixteen_interim_responses_pass_and_seventeen_do_not() {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(16);
        let (_, none) = scan(&[&interim]);
        assert!(none.is_none());
        let (_, error) = scan(&[&interim, b"HTTP/1.1 100 Continue\r\n\r\n"]);
        assert_eq!(error.unwrap().fields().extra.reason, Some("ERR_INFORMATIONAL_FLOOD"));
    }

    #[test]
    fn an_interim_response_with_a_body_ends_the_connection() {
        let (_, error) = scan(&[b"HTTP/1.1 102 P\r\nContent-Length: 5\r\n\r\n"]);
        assert_eq!(error.unwrap().fields().extra.reason, Some("ERR_INFORMATIONAL_BODY"));
        let (_, error) = scan(&[b"HTTP/1.1 101 S\r\n\r\n"]);
        assert_eq!(error.unwrap().fields().extra.reason, Some("ERR_UNEXPECTED_UPGRADE"));
    }
}
