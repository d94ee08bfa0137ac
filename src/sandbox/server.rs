//! A small HTTP/1 server for the sandbox: it can close a connection without an answer, which a router alone can not.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::Sandbox;

/// Connections at a time; further ones wait in the listener's queue.
const CONNECTIONS: usize = 1_024;
/// How long a stop waits for requests in flight. A `timeout` fault never ends by itself.
const GRACE: Duration = Duration::from_secs(1);
/// A silent peer is closed after this; idle keep-alive connections too.
const HEADER_TIME: Duration = Duration::from_secs(120);

/// Request extension: who calls. A server other than [`serve`] may insert it; else it is 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Response extension: close the connection instead of answering.
#[derive(Clone, Copy, Debug)]
pub(super) struct CutConnection;

/// Serves the sandbox until `shutdown` completes; then requests in flight get one second.
///
/// # Errors
/// None today; failed accepts are tried again. The type leaves room for a listener that is gone for good.
pub async fn serve(listener: TcpListener, sandbox: Sandbox, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let router = sandbox.router();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        while tasks.try_join_next().is_some() {}
        let (stream, peer, place) = tokio::select! {
            next = accept(&listener, &places) => match next {
                Some(next) => next,
                None => continue,
            },
            () = &mut shutdown => break,
        };
        let router = router.clone();
        let service = service_fn(move |request| answer(router.clone(), peer, request));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tasks.spawn(async move {
            // A client that goes away, and a cut on demand, both end here; neither is news.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    tasks.shutdown().await;
    Ok(())
}

/// The next connection; `None` after a failed accept and a short rest (no descriptors left).
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, peer.ip(), place))
        }
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// An error from the service makes hyper close the connection without a response.
async fn answer(
    router: axum::Router,
    peer: IpAddr,
    mut request: Request<Incoming>,
) -> Result<Response<axum::body::Body>, io::Error> {
    request.extensions_mut().insert(Peer(peer));
    let response: Result<_, Infallible> = router.oneshot(request).await;
    match response {
        Ok(response) if response.extensions().get::<CutConnection>().is_some() => {
            Err(io::Error::other("cut on demand"))
        }
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}
