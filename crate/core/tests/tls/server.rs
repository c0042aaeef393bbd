//! A TLS server that tells what it saw of its clients, and ways to visit it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferropool_core::tls::{Alpn, Secured, TlsPlan};
use ferropool_policy::error::Error;
use ferropool_policy::tls::{Authority, TlsSettings};
use rustls::crypto::aws_lc_rs;
use rustls::server::{Acceptor, WantsServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::client::TlsStream;

use crate::pki::{Ca, Papers};

/// What the server saw of one client.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) sni: Option<String>,
    pub(crate) alpn: Vec<String>,
    /// The client's certificates.
    pub(crate) certificates: Vec<Vec<u8>>,
    /// Every byte of application data, or why there was none.
    pub(crate) received: Result<Vec<u8>, String>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: UnboundedReceiver<Seen>,
}

impl Server {
    /// Greets each client and reads until it goes.
    pub(crate) async fn start(config: ServerConfig) -> Self {
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, config) = (tell.clone(), Arc::clone(&config));
                tokio::spawn(async move {
                    let seen = serve(stream, config).await;
                    let _ = tell.send(seen);
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) async fn usual(papers: &Papers) -> Self {
        Self::start(presenting(papers)).await
    }

    /// The next client that has gone.
    pub(crate) async fn seen(&mut self) -> Seen {
        tokio::time::timeout(Duration::from_secs(60), self.seen.recv()).await.unwrap().unwrap()
    }

    pub(crate) async fn connect(&self, plan: &TlsPlan) -> Result<(TlsStream<TcpStream>, Secured), Error> {
        plan.handshake(TcpStream::connect(self.address).await.unwrap()).await
    }

    /// A handshake, the greeting (with which tickets come), and good-bye.
    pub(crate) async fn visit(&self, plan: &TlsPlan) -> Result<Secured, Error> {
        let (mut stream, secured) = self.connect(plan).await?;
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting).await.unwrap();
        stream.shutdown().await.unwrap();
        Ok(secured)
    }
}

async fn serve(stream: TcpStream, config: Arc<ServerConfig>) -> Seen {
    let mut seen = Seen { sni: None, alpn: Vec::new(), certificates: Vec::new(), received: Ok(Vec::new()) };
    seen.received = async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        seen.sni = hello.server_name().map(str::to_owned);
        let offered = hello.alpn().into_iter().flatten();
        seen.alpn = offered.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let mut stream = start.into_stream(config).await?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        seen.certificates = certificates.iter().map(|der| der.to_vec()).collect();
        stream.write_all(b"hello").await?;
        stream.flush().await?;
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await?;
        Ok(received)
    }
    .await
    .map_err(|error: std::io::Error| error.to_string());
    seen
}

pub(crate) fn builder(versions: &[&'static SupportedProtocolVersion]) -> ConfigBuilder<ServerConfig, WantsServerCert> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap().with_no_client_auth()
}

pub(crate) fn presenting(papers: &Papers) -> ServerConfig {
    resuming(rustls::ALL_VERSIONS, papers)
}

/// Presents them however wrong they are, and gives out tickets in either version.
pub(crate) fn resuming(versions: &[&'static SupportedProtocolVersion], papers: &Papers) -> ServerConfig {
    let key = aws_lc_rs::sign::any_supported_type(&papers.key_der()).unwrap();
    let certified = CertifiedKey::new(papers.chain.clone(), key);
    let mut config = builder(versions).with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    config
}

/// Wants a certificate that this CA issued.
pub(crate) fn demanding(papers: &Papers, versions: &[&'static SupportedProtocolVersion], clients: &Ca) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(papers.chain.clone(), papers.key_der())
        .unwrap()
}

pub(crate) fn trusting(ca: &Ca) -> TlsSettings {
    TlsSettings { authorities: vec![Authority::Pem(ca.pem())], ..TlsSettings::default() }
}

pub(crate) fn plan(settings: &TlsSettings, host: &str) -> TlsPlan {
    TlsPlan::new(settings, host, Alpn::Http1).unwrap()
}

pub(crate) fn reason(error: &Error) -> &'static str {
    error.fields().extra.reason.unwrap_or("none")
}

/// Why there is no plan.
pub(crate) fn refusal(settings: &TlsSettings) -> (&'static str, String) {
    let error = TlsPlan::new(settings, "localhost", Alpn::Http1).unwrap_err();
    (reason(&error), error.to_string())
}
