//! The proxy that requests through CONNECT go through: it connects, passes bytes on both ways, and knows nothing else.
//!
//! A proxy in JavaScript would be what is measured. It believes its clients (they are the benchmark's own), takes them to
//! loopback addresses alone, and ends with its standard input. For the long run over many proxies it listens on as many
//! addresses of 127.0.0.0/8 as it is told, all on one port: each is a proxy of its own to a client.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{spawn_blocking, spawn_local};

use crate::Failure;

/// Prints its port, then serves until standard input ends; `words` may have the number of further addresses.
pub(crate) fn serve(mut words: impl Iterator<Item = String>) -> Result<(), Failure> {
    let more: u32 = words.next().map_or(Ok(0), |count| count.parse())?;
    let runtime = Builder::new_current_thread().enable_io().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        for nth in 0..more {
            let other = TcpListener::bind((Ipv4Addr::from_bits(FURTHER.to_bits() + nth), port)).await?;
            spawn_local(accept(other));
        }
        #[expect(clippy::print_stdout, reason = "the port is what the runner reads")]
        {
            println!("{port}");
        }
        spawn_local(accept(listener));
        spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
        Ok(())
    })
}

async fn accept(listener: TcpListener) {
    loop {
        // A client that breaks off is its own affair: its process reports it.
        if let Ok((stream, _)) = listener.accept().await {
            spawn_local(async move { drop(pass(stream).await) });
        }
    }
}

async fn pass(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut head = Vec::with_capacity(512);
    let end = loop {
        if client.read_buf(&mut head).await? == 0 || head.len() > LONGEST_HEAD {
            return Ok(());
        }
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let answer = match target(&head) {
        None => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        Some(address) => match TcpStream::connect(address).await {
            Err(_) => "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
            Ok(mut origin) => {
                origin.set_nodelay(true)?;
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                origin.write_all(&head[end..]).await?;
                copy_bidirectional(&mut client, &mut origin).await?;
                return Ok(());
            }
        },
    };
    client.write_all(answer.as_bytes()).await
}

/// Where a CONNECT leads, if that is on this machine.
fn target(head: &[u8]) -> Option<SocketAddr> {
    let line = str::from_utf8(head).ok()?.lines().next()?;
    let address: SocketAddr = line.strip_prefix("CONNECT ")?.split(' ').next()?.parse().ok()?;
    address.ip().is_loopback().then_some(address)
}

/// The first of the further addresses.
const FURTHER: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

const LONGEST_HEAD: usize = 8 * 1024;
