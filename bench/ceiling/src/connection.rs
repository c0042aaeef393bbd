//! A connection of any of the transports, made with as little as hyper and rustls need.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::{JoinHandle, spawn_local};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Failure;
use crate::arguments::{Arguments, Transport};

/// What makes the connections of a measurement.
pub(crate) struct Connector {
    address: SocketAddr,
    /// Whom a proxy is asked to connect to.
    behind: Option<SocketAddr>,
    transport: Transport,
    tls: Option<TlsConnector>,
    /// The only connection of HTTP/2; whoever comes first makes it.
    shared: OnceCell<http2::SendRequest<Empty<Bytes>>>,
}

/// What a loop sends its requests on.
pub(crate) enum Connection {
    /// Its own, and the task that moves its bytes.
    Http1(http1::SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>),
    /// One of many on the same connection.
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Connector {
    pub(crate) fn prepare(arguments: &Arguments) -> Result<Self, Failure> {
        let tls = match arguments.transport {
            Transport::Http | Transport::Forward => None,
            transport => Some(tls(arguments, transport == Transport::H2)?),
        };
        let behind = match (arguments.transport, &arguments.origin) {
            (Transport::Connect, Some(origin)) => Some(origin.parse()?),
            (Transport::Connect, None) => return Err("--origin IP:PORT is needed with a tunnel".into()),
            _ => None,
        };
        let (address, transport) = (arguments.address, arguments.transport);
        Ok(Self { address, behind, transport, tls, shared: OnceCell::new() })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        match (self.transport, &self.tls) {
            (Transport::H2, Some(tls)) => {
                let sender = self.shared.get_or_try_init(|| self.share(tls)).await?;
                Ok(Connection::Http2(sender.clone()))
            }
            (_, Some(tls)) => http1_over(self.secure(tls).await?).await,
            (_, None) => http1_over(self.plain().await?).await,
        }
    }

    async fn share(&self, tls: &TlsConnector) -> Result<http2::SendRequest<Empty<Bytes>>, Failure> {
        let stream = TokioIo::new(self.secure(tls).await?);
        let (sender, connection) = http2::handshake(Local, stream).await?;
        // Its error, if any, comes out of the requests that met it; it ends with the process.
        spawn_local(connection);
        Ok(sender)
    }

    async fn plain(&self) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn secure(&self, tls: &TlsConnector) -> Result<TlsStream<TcpStream>, Failure> {
        let mut stream = self.plain().await?;
        if let Some(origin) = self.behind {
            tunnel(&mut stream, origin).await?;
        }
        Ok(tls.connect(ServerName::from(self.behind.unwrap_or(self.address).ip()), stream).await?)
    }
}

impl Connection {
    pub(crate) async fn send(&mut self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Failure> {
        match self {
            Self::Http1(sender, _) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }

    /// Ends it in order; what is shared stays for the others.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        if let Self::Http1(sender, connection) = self {
            drop(sender);
            connection.await??;
        }
        Ok(())
    }
}

/// Asks for a tunnel; the proxy is the benchmark's own, whose answer has nothing behind its head.
async fn tunnel(stream: &mut TcpStream, origin: SocketAddr) -> Result<(), Failure> {
    stream.write_all(format!("CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("the proxy closed the connection".into());
        }
    }
    if answer.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err("the proxy refused".into()) }
}

async fn http1_over(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Result<Connection, Failure> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its error, if any, comes out of the request that met it.
    Ok(Connection::Http1(sender, spawn_local(connection)))
}

/// One configuration for all connections, that trusts the given authority alone.
fn tls(arguments: &Arguments, multiplexed: bool) -> Result<TlsConnector, Failure> {
    let file = arguments.authority.as_ref().ok_or("--authority FILE is needed with TLS")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file)?)?;
    let mut configuration =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    configuration.alpn_protocols = vec![if multiplexed { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(TlsConnector::from(Arc::new(configuration)))
}

/// Puts what an HTTP/2 connection does beside itself on the one thread that there is.
#[derive(Clone)]
struct Local;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
