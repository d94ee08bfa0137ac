//! What surrounds the routes: the route prefix, the login, and answers for paths and methods that do not exist.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::Uri;
use http::uri::PathAndQuery;
use tower::Service;

use super::auth::{self, Auth};
use super::error::{method_not_allowed, not_found};

/// Puts the routes below the prefix and behind the login. Unknown paths get 404, wrong methods 405 with `Allow`, both
/// in our form; nothing is ever redirected. Call it once, when all routes are there.
pub fn assemble(routes: Router, prefix: &str, auth: Option<Arc<Auth>>) -> Router {
    let routes = routes.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
    let routes = match prefix {
        "" => routes,
        prefix => Router::new().fallback_service(Below { routes, prefix: prefix.into() }),
    };
    match auth {
        None => routes,
        Some(auth) => {
            let guard = Arc::new(auth::Guard { auth, prefix: prefix.into() });
            routes.layer(axum::middleware::from_fn_with_state(guard, auth::check))
        }
    }
}

/// The prefix of all paths: the flag, else the path of the external URL. Begins with `/` and does not end with it;
/// empty for none.
pub fn route_prefix(flag: &str, external_url: Option<&url::Url>) -> String {
    let path = match (flag, external_url) {
        ("", Some(url)) => url.path(),
        (flag, _) => flag,
    };
    match path.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

/// Takes the prefix off before routing.
#[derive(Clone)]
struct Below {
    routes: Router,
    prefix: Arc<str>,
}

impl Below {
    fn stripped(&self, uri: &Uri) -> Option<Uri> {
        let rest = uri.path().strip_prefix(&*self.prefix)?;
        let path = match rest {
            "" => "/",
            rest if rest.starts_with('/') => rest,
            _ => return None,
        };
        let path = match uri.query() {
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
            None => PathAndQuery::try_from(path),
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path.ok()?);
        Uri::from_parts(parts).ok()
    }
}

impl Service<Request> for Below {
    type Response = Response;
    type Error = Infallible;
    type Future = Routed;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match self.stripped(request.uri()) {
            Some(uri) => {
                *request.uri_mut() = uri;
                Box::pin(self.routes.call(request))
            }
            None => Box::pin(async { Ok(not_found().await.into_response()) }),
        }
    }
}

type Routed = std::pin::Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;
