//! The HTTP client towards one bot's robots. Redirects are never followed; replies are read up to a bound.

use std::time::Duration;

use reqwest::redirect::Policy;

use super::HttpClientConfig;
use crate::channel::Signed;
use crate::model::Verdict;
use crate::telemetry::redact;

/// The longest that one request may take. Shorter than a lease (8 s), so that a successor never sends beside it.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Robots answer in a few hundred bytes; an error page may be longer, and nobody reads on.
const MAX_REPLY: usize = 64 * 1024;

/// A complete reply.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Makes a client. Fails when the proxy's URL or the CA file can not be used.
pub fn client(config: &HttpClientConfig) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("alarmbell/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(2)
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

/// Sends one request. `Err` is the verdict of a request without a complete reply.
pub(super) async fn send(client: &reqwest::Client, request: Signed) -> Result<Reply, Verdict> {
    let sent = client
        .post(request.url.expose())
        .header(http::header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(request.body)
        .send()
        .await;
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
