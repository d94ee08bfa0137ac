//! A small HTTP client.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;

/// Without proxies and redirects.
pub static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(client);

fn client() -> reqwest::Client {
    // The client wants a TLS provider even where no request needs one. Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    // A client outlives the runtime of the test that opened its connections, so none are kept.
    builder.timeout(Duration::from_secs(60)).pool_max_idle_per_host(0).build().unwrap()
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Answer {
    /// Reads an answer.
    pub async fn of(request: reqwest::RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, text: response.text().await? })
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON ({}): {}", self.status, self.text))
    }

    /// `data` of an answer in Prometheus' form.
    #[track_caller]
    pub fn data(&self) -> Value {
        let json = self.json();
        assert_eq!(json["status"], "success", "{}", self.text);
        json["data"].clone()
    }

    /// `error` and `at` of a refusal in Prometheus' form.
    #[track_caller]
    pub fn error(&self) -> (String, String) {
        let json = self.json();
        assert_eq!(json["status"], "error", "{}", self.text);
        let text = |name: &str| json[name].as_str().unwrap_or("").to_owned();
        (text("error"), text("at"))
    }
}
