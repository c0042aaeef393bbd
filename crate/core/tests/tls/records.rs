//! Records that are nothing but work: whoever sends them without end does not keep a connection busy without end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::pki::usual;
use crate::server::{plan, resuming, trusting};

// THR-818
#[tokio::test]
async fn keys_that_are_changed_without_end_cost_little_and_are_answered_without_piling_up() {
    const UPDATES: usize = 5_000;
    let (ca, papers) = usual();
    let acceptor = TlsAcceptor::from(Arc::new(resuming(&[&rustls::version::TLS13], &papers)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        for _ in 0..UPDATES {
            // Each asks for the client's own change of keys.
            stream.get_mut().1.refresh_traffic_keys().unwrap();
            stream.flush().await.unwrap();
        }
        stream.write_all(b"after all").await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let (mut stream, _) =
        plan(&trusting(&ca), "localhost").handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    let began = Instant::now();
    let mut said = [0; 9];
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_exact(&mut said)).await.unwrap();
    // Either they are followed, or the connection is over; both in a moment.
    if read.is_ok() {
        assert_eq!(&said, b"after all");
        stream.write_all(b"still here").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(server.await.unwrap(), b"still here");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
