use std::collections::BTreeMap;

use super::*;
use crate::model::Notification;
use crate::store::StoreError;

fn app(prefix: &str) -> Router {
    async fn query(Params(params): Params<BTreeMap<String, u32>>) -> axum::response::Response {
        success(params)
    }
    let routes = Router::new()
        .route("/hook", post(|| async { "ok" }).put(|| async { "ok" }))
        .route("/query", get(query))
        .route("/", get(|| async { "root" }));
    assemble(routes, prefix, None)
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods() {
    let server = start(app(""), patient(), LONG).await;
    let mut client = server.connect().await;
    let answer = client.get("/nothing").await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.json(),
        serde_json::json!({"status": "error", "errorType": "not_found", "error": "there is no such path"})
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = client.get("/hook").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("post,put")));
    assert_eq!(answer.json()["errorType"], "method_not_allowed");
    let answer = client.post("/query", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("get,head")));
    for path in ["/hook/", "//hook", "/query/..", "/hook/x"] {
        assert_eq!(client.get(path).await.status, 404, "never a redirect: {path}");
    }
}

#[tokio::test]
async fn query_mistakes_come_in_our_form() {
    let server = start(app(""), patient(), LONG).await;
    let mut client = server.connect().await;
    let answer = client.get("/query?limit=3").await;
    assert_eq!(answer.json(), serde_json::json!({"status": "success", "data": {"limit": 3}}));
    let answer = client.get("/query?limit=many").await;
    assert_eq!((answer.status, answer.json()["errorType"].as_str()), (400, Some("bad_data")));
}

#[tokio::test]
async fn everything_is_below_the_prefix() {
    let server = start(app("/bell"), patient(), LONG).await;
    let mut client = server.connect().await;
    for (path, status) in [
        ("/bell/query?limit=1", 200),
        ("/bell", 200),
        ("/bell/", 200),
        ("/bell?x=1", 200),
        ("/query", 404),
        ("/", 404),
        ("/bells/query", 404),
        ("/bell/nothing", 404),
        ("/bell/hook", 405),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(status == 200 || answer.json()["status"] == "error", "{path}");
    }
}

#[test]
fn the_prefix_is_the_flags_or_the_external_urls_path() {
    let url = url::Url::parse("https://ops.corp/bell/").unwrap();
    let bare = url::Url::parse("https://ops.corp").unwrap();
    assert_eq!(route_prefix("", Some(&url)), "/bell");
    assert_eq!(route_prefix("", Some(&bare)), "");
    assert_eq!(route_prefix("", None), "");
    assert_eq!(route_prefix("/", Some(&url)), "");
    assert_eq!(route_prefix("a/b/", Some(&url)), "/a/b");
}

#[tokio::test]
async fn every_error_has_its_status() {
    let body = Notification::parse(br#"{"alerts":[{"startsAt":"soon"}]}"#).unwrap_err();
    let token = "access_token=0123456789abcdef";
    let table: [(HttpError, u16, &str, &str); 6] = [
        (body.into(), 400, "bad_data", "alerts[0].startsAt"),
        (StoreError::Unavailable(format!("disk full {token}")).into(), 503, "unavailable", ""),
        (StoreError::BacklogFull("2000000 alerts".into()).into(), 503, "unavailable", ""),
        (StoreError::Unusable("newer version".into()).into(), 503, "unavailable", ""),
        (StoreError::NotFound.into(), 404, "not_found", ""),
        (HttpError::new(ErrorKind::Forbidden, "not enabled"), 403, "forbidden", ""),
    ];
    for (error, status, word, at) in table {
        let response = axum::response::IntoResponse::into_response(error);
        assert_eq!(response.status(), status);
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((json["errorType"].as_str().unwrap(), json["at"].as_str().unwrap_or_default()), (word, at));
        assert!(!json["error"].as_str().unwrap().contains("0123456789abcdef"));
    }
}
