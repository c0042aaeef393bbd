//! The conversation with a SOCKS proxy: `policy::socks` says what is sent and what is heard, here it is sent and heard.
//!
//! No octet is read that is not the answer's: what follows is the origin's. There is no deadline, as everywhere in `dial`.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::ready;

use ferropool_policy::error::{Cause, Error};
use ferropool_policy::proxy::{Credentials, Protocol};
use ferropool_policy::socks::{self, Bound, Method};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Transport;

pub(crate) use ferropool_policy::socks::{Target, check};

/// Has the proxy at the other end connect to the target. What is given back leads to the target.
///
/// # Errors
/// As [`check`]; `Connect` in phase proxy for a refusal, and for a proxy that hangs up or speaks something else.
///
/// # Cancellation
/// Dropping the future closes the connection.
pub(crate) async fn connect(
    transport: Transport,
    protocol: Protocol,
    target: &Target<'_>,
    credentials: Option<&Credentials>,
) -> Result<Transport, Error> {
    check(protocol, target, credentials)?;
    let mut proxy = Peer(transport);
    match protocol {
        Protocol::Socks4 | Protocol::Socks4a => version_4(&mut proxy, target, credentials).await?,
        _ => version_5(&mut proxy, target, credentials).await?,
    }
    Ok(proxy.0)
}

async fn version_4(proxy: &mut Peer, target: &Target<'_>, who: Option<&Credentials>) -> Result<(), Error> {
    proxy.say(&socks::version_4_request(target, who)?).await?;
    let code = proxy.verdict(0, "the request").await?;
    socks::granted(4, code)?;
    proxy.skip(2 + 4, "the request").await
}

async fn version_5(proxy: &mut Peer, target: &Target<'_>, who: Option<&Credentials>) -> Result<(), Error> {
    proxy.say(socks::greeting(who)).await?;
    let chosen = proxy.verdict(5, "the greeting").await?;
    if let (Method::Password, Some(who)) = (socks::method(chosen, who)?, who) {
        proxy.say(&socks::password(who)).await?;
        let status = proxy.verdict(1, "the username and password").await?;
        socks::let_in(status)?;
    }
    proxy.say(&socks::version_5_request(target)).await?;
    let code = proxy.verdict(5, "the request").await?;
    socks::granted(5, code)?;
    let [_reserved, kind] = proxy.hear("the request").await?;
    let octets = match socks::bound(kind)? {
        Bound::Octets(octets) => octets,
        Bound::Counted => {
            let [length] = proxy.hear("the request").await?;
            usize::from(length) + 2
        }
    };
    proxy.skip(octets, "the request").await
}

/// The proxy, as somebody to talk to.
struct Peer(Transport);

impl Peer {
    async fn say(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        poll_fn(|cx| {
            let mut to = Pin::new(&mut self.0);
            while !bytes.is_empty() {
                match ready!(to.as_mut().poll_write(cx, bytes))? {
                    0 => return io::Result::Err(io::ErrorKind::WriteZero.into()).into(),
                    taken => bytes = &bytes[taken..],
                }
            }
            to.poll_flush(cx)
        })
        .await
        .map_err(|error| broken(&error))
    }

    /// The two octets that each answer begins with: the version, which is judged, and what follows it.
    async fn verdict(&mut self, version: u8, to: &str) -> Result<u8, Error> {
        let mut answer = [0; 2];
        match self.fill(&mut answer).await? {
            0 => return Err(socks::broken(format!("the proxy closed the connection in place of its answer to {to}"))),
            1 => {
                socks::version(version, answer[0])?;
                return Err(cut(to));
            }
            _ => socks::version(version, answer[0])?,
        }
        Ok(answer[1])
    }

    async fn hear<const N: usize>(&mut self, to: &str) -> Result<[u8; N], Error> {
        let mut answer = [0; N];
        if self.fill(&mut answer).await? < N { Err(cut(to)) } else { Ok(answer) }
    }

    async fn skip(&mut self, octets: usize, to: &str) -> Result<(), Error> {
        let mut answer = [0; MOST_BOUND];
        let answer = &mut answer[..octets];
        if self.fill(answer).await? < octets { Err(cut(to)) } else { Ok(()) }
    }

    /// As many octets as there is room for, or fewer where the stream ends.
    async fn fill(&mut self, room: &mut [u8]) -> Result<usize, Error> {
        let mut room = ReadBuf::new(room);
        poll_fn(|cx| {
            while room.remaining() > 0 {
                let before = room.filled().len();
                ready!(Pin::new(&mut self.0).poll_read(cx, &mut room))?;
                if room.filled().len() == before {
                    break;
                }
            }
            io::Result::Ok(room.filled().len()).into()
        })
        .await
        .map_err(|error| broken(&error))
    }
}

fn cut(to: &str) -> Error {
    socks::broken(format!("the proxy closed the connection inside its answer to {to}"))
}

fn broken(error: &io::Error) -> Error {
    let mut failed = socks::broken(String::new());
    failed.fields_mut().causes = vec![Cause::from_io(error)];
    failed
}

/// A name of 255 octets, and a port.
const MOST_BOUND: usize = 255 + 2;

#[cfg(test)]
mod tests;
