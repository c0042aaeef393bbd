//! The server that uploads go to: reads a body to its end, counts it, answers with the count.
//!
//! nginx answers an upload it has no use for before it has read it, and a server in JavaScript would be what is measured.
//! It believes its clients (they are the benchmark's own) and knows just enough of HTTP/1.1 for them: a length or chunks
//! (RFC 9112 §6, §7.1). A thread for each connection, for there is one at a time. It ends with its standard input.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use crate::Failure;

/// How a request's body ends.
#[derive(Default)]
enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
}

/// Prints its port, then serves until standard input ends.
pub(crate) fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    #[expect(clippy::print_stdout, reason = "the port is what the runner reads")]
    {
        println!("{port}");
    }
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that breaks off is its own affair: its process reports it.
            thread::spawn(move || drop(serve_one(stream)));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn serve_one(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::with_capacity(BUFFER, stream);
    while let Some(framing) = head(&mut input, &mut output)? {
        let count = match framing {
            Framing::None => 0,
            Framing::Length(length) => skip(&mut input, length)?,
            Framing::Chunked => skip_chunks(&mut input)?,
        };
        let text = count.to_string();
        output.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).as_bytes())?;
    }
    Ok(())
}

/// The framing of the next request; nothing when the client has closed.
fn head(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<Option<Framing>> {
    let (mut framing, mut line) = (Framing::None, String::new());
    let mut awaits_leave = false;
    for number in 0.. {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let text = line.trim_end().to_ascii_lowercase();
        if number > 0 && text.is_empty() {
            break;
        }
        match text.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => framing = Framing::Length(value.parse().map_err(io::Error::other)?),
            Some(("transfer-encoding", "chunked")) => framing = Framing::Chunked,
            Some(("expect", "100-continue")) => awaits_leave = true,
            _ => {}
        }
    }
    if awaits_leave {
        output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    Ok(Some(framing))
}

fn skip_chunks(input: &mut impl BufRead) -> io::Result<u64> {
    let (mut count, mut line) = (0, String::new());
    loop {
        line.clear();
        input.read_line(&mut line)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
        count += skip(input, size)?;
        if size == 0 {
            break;
        }
        // The end of line that follows a chunk's bytes.
        skip(input, 2)?;
    }
    // Trailers, if any, and the empty line.
    while line.trim_end() != "" {
        line.clear();
        input.read_line(&mut line)?;
    }
    Ok(count)
}

fn skip(input: &mut impl BufRead, length: u64) -> io::Result<u64> {
    let mut left = length;
    while left > 0 {
        let there = input.fill_buf()?.len() as u64;
        if there == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let taken = there.min(left);
        input.consume(taken as usize);
        left -= taken;
    }
    Ok(length)
}

/// As large as a client's socket buffer may be: fewer calls for the same bytes.
const BUFFER: usize = 256 * 1024;
