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
            Transport::Http => None,
            transport => Some(tls(arguments, transport == Transport::H2)?),
        };
        Ok(Self { address: arguments.address, transport: arguments.transport, tls, shared: OnceCell::new() })
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
        Ok(tls.connect(ServerName::from(self.address.ip()), self.plain().await?).await?)
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
