//! The HTTP clients towards robots. Redirects are never followed; replies are read up to a bound.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::redirect::Policy;

use super::HttpClientConfig;
use crate::channel::Signed;
use crate::model::Verdict;
use crate::telemetry::redact;

/// The longest that one request may take. Shorter than a lease (8 s), so that a successor never sends beside it.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Robots answer in a few hundred bytes; an error page may be longer, and nobody reads on.
const MAX_REPLY: usize = 64 * 1024;

/// A complete reply.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Clients by what they were made from. Bots with the same `http_config` share one: the certificates it trusts take 100 KB
/// and some milliseconds to read (measured). They share its idle connections, too, of which there are as many to a host as
/// messages were under way to it at a time.
#[derive(Default)]
pub(super) struct Clients(Mutex<Vec<(HttpClientConfig, reqwest::Client)>>);

impl Clients {
    /// The client for this config, made when it is the first. Fails as [`client`].
    pub(super) fn of(&self, config: &HttpClientConfig) -> Result<reqwest::Client, String> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| known == config) {
            return Ok(client.clone());
        }
        let client = client(config)?;
        clients.push((config.clone(), client.clone()));
        Ok(client)
    }

    /// Forgets the clients of configs that no bot has any more.
    pub(super) fn keep<'a>(&self, configs: impl Iterator<Item = &'a HttpClientConfig> + Clone) {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|(known, _)| configs.clone().any(|config| config == known));
    }
}

/// Makes a client. Fails when the proxy's URL or the CA file can not be used.
pub fn client(config: &HttpClientConfig) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("alarmbell/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(30))
        .retry(reqwest::retry::never());
    builder = match (&config.proxy_url, config.proxy_from_environment) {
        (Some(url), _) => {
            let mut proxy = reqwest::Proxy::all(url.expose()).map_err(|error| text(&error))?;
            if let Some(hosts) = &config.no_proxy {
                proxy = proxy.no_proxy(reqwest::NoProxy::from_string(hosts));
            }
            builder.no_proxy().proxy(proxy)
        }
        (None, true) => builder,
        (None, false) => builder.no_proxy(),
    };
    if let Some(pem) = &config.ca_pem {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| text(&error))?;
        builder = builder.tls_certs_merge(certificates);
    }
    if config.insecure_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder.build().map_err(|error| text(&error))
}

/// Whether a request may still be written.
pub(super) type MaySend = Arc<dyn Fn() -> bool + Send + Sync>;

/// Sends one request, if it may be sent: asked before the connection is made, and once more as the last step before the
/// body is written to it. `None` when it was not sent, which is certain: without its body it is no request.
pub(super) async fn send_if(
    client: &reqwest::Client,
    request: Signed,
    may_send: MaySend,
) -> Option<Result<Reply, Verdict>> {
    if !may_send() {
        return None;
    }
    let refused = Arc::new(AtomicBool::new(false));
    let body = Guarded { bytes: Some(Bytes::from(request.body)), may_send, refused: Arc::clone(&refused) };
    let sent = post(client, request.url.expose(), reqwest::Body::wrap(body)).await;
    (!refused.load(Ordering::Acquire)).then_some(sent)
}

/// A body that is handed out only while it may be sent.
struct Guarded {
    bytes: Option<Bytes>,
    may_send: MaySend,
    refused: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
#[error("it may not be sent any more")]
struct Refused;

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Refused;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Refused>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        if (self.may_send)() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        self.refused.store(true, Ordering::Release);
        Poll::Ready(Some(Err(Refused)))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
    }
}

/// Sends one request. `Err` is the verdict of a request without a complete reply.
pub(super) async fn send(client: &reqwest::Client, request: Signed) -> Result<Reply, Verdict> {
    post(client, request.url.expose(), request.body.into()).await
}

async fn post(client: &reqwest::Client, url: &str, body: reqwest::Body) -> Result<Reply, Verdict> {
    let sent =
        client.post(url).header(http::header::CONTENT_TYPE, "application/json; charset=utf-8").body(body).send().await;
    let mut response = sent.map_err(|error| failure(&error))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while body.len() < MAX_REPLY {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(MAX_REPLY - body.len())]),
            Ok(None) => break,
            // The robot has decided, but we do not know what.
            Err(error) => return Err(Verdict::UnknownOutcome { reason: text(&error) }),
        }
    }
    Ok(Reply { status, body })
}

/// Only a connection that never came about certainly delivered nothing.
fn failure(error: &reqwest::Error) -> Verdict {
    let reason = text(error);
    if error.is_builder() {
        return Verdict::Misconfigured {
            reason,
            remedy: "the request can not be made: check the bot's url and http_config".to_owned(),
        };
    }
    if error.is_connect() { Verdict::Retry { reason } } else { Verdict::UnknownOutcome { reason } }
}

/// An error with its causes, without the URL.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    redact(&strip_url(&text)).chars().take(300).collect()
}

/// reqwest writes `error sending request for url (...)`.
fn strip_url(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" for url (") else { return text.to_owned() };
    let after = rest.split_once(')').map_or("", |(_, after)| after);
    format!("{before}{after}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn bots_with_the_same_http_config_share_a_client() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clients = Clients::default();
        let (plain, other) = (
            HttpClientConfig::default(),
            HttpClientConfig { insecure_skip_verify: true, ..HttpClientConfig::default() },
        );
        let count = || clients.0.lock().unwrap().len();
        for config in [&plain, &other, &plain, &plain] {
            clients.of(config).unwrap();
        }
        assert_eq!(count(), 2);
        clients.keep([&other, &other].into_iter());
        assert_eq!(clients.0.lock().unwrap()[0].0, other);
        assert_eq!(count(), 1);
        let broken = HttpClientConfig { ca_pem: Some(b"-----BEGIN CERTIFICATE-----".to_vec()), ..plain };
        clients.of(&broken).unwrap_err();
        assert_eq!(count(), 1);
    }
}
