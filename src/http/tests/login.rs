use std::collections::BTreeMap;

use arc_swap::ArcSwap;
use base64::Engine as _;

use super::*;

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn users(pairs: &[(&str, &str)]) -> Users {
    Users::build(pairs.iter().map(|(user, password)| ((*user).to_owned(), hash(password))).collect()).unwrap()
}

fn routes() -> Router {
    let ok = || async { "ok" };
    Router::new()
        .route("/-/healthy", get(ok))
        .route("/hook", post(ok))
        .route("/m/{id}", get(ok).post(ok))
        .route("/m/{id}/more", get(ok))
}

async fn with(now: &Arc<ArcSwap<Option<Users>>>, prefix: &str) -> Server {
    let auth = Arc::new(Auth::new(Arc::clone(now)).unwrap());
    start(assemble(routes(), prefix, Some(auth)), patient(), LONG).await
}

async fn status(server: &Server, method: &str, path: &str, authorization: &str) -> u16 {
    let mut client = server.connect().await;
    let header = if authorization.is_empty() { String::new() } else { format!("Authorization: {authorization}\r\n") };
    client.send(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{header}Content-Length: 0\r\n\r\n")).await;
    let answer = if method == "HEAD" { client.head().await } else { client.answer().await }.unwrap();
    assert_eq!(answer.status == 401, answer.header("www-authenticate") == Some("basic"), "{answer:?}");
    if answer.status == 401 {
        assert_eq!(answer.json()["errorType"], "unauthorized");
    }
    answer.status
}

fn basic(login: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login))
}

#[tokio::test]
async fn who_may_pass() {
    let now = Arc::new(ArcSwap::from_pointee(Some(users(&[("bob", "s3cret:with"), ("张三", "密码"), ("empty", "")]))));
    let server = with(&now, "").await;
    // Twice: the second time from the cache.
    for _ in 0..2 {
        for (authorization, want) in [
            (basic("bob:s3cret:with"), 200),
            (basic("bob:s3cret:with").replace("Basic", "bAsIc"), 200),
            (basic("张三:密码"), 200),
            (basic("empty:"), 200),
            (basic("bob:wrong"), 401),
            (basic("bob:"), 401),
            (basic("BOB:s3cret:with"), 401),
            (basic("eve:s3cret:with"), 401),
            (basic("bob"), 401),
            (String::new(), 401),
            ("Basic".into(), 401),
            ("Basic !!!".into(), 401),
            ("Bearer s3cret".into(), 401),
        ] {
            assert_eq!(status(&server, "GET", "/-/healthy", &authorization).await, want, "{authorization}");
        }
    }
    // Strangers do not learn which paths exist; pages need no login, but only they.
    for (method, path, want) in [
        ("GET", "/nothing", 401),
        ("GET", "/hook", 401),
        ("GET", "/m/0123", 200),
        ("HEAD", "/m/0123", 200),
        ("POST", "/m/0123", 401),
        ("GET", "/m/", 401),
        ("GET", "/m/0123/more", 401),
        ("GET", "/M/0123", 401),
    ] {
        assert_eq!(status(&server, method, path, "").await, want, "{method} {path}");
    }
    assert_eq!(status(&server, "GET", "/nothing", &basic("bob:s3cret:with")).await, 404);
}

#[tokio::test]
async fn a_reload_counts_at_once() {
    let now = Arc::new(ArcSwap::from_pointee(None));
    let server = with(&now, "/bell").await;
    assert_eq!(status(&server, "GET", "/bell/-/healthy", "").await, 200);
    now.store(Arc::new(Some(users(&[("bob", "one")]))));
    assert_eq!(status(&server, "GET", "/bell/-/healthy", "").await, 401);
    assert_eq!(status(&server, "GET", "/bell/-/healthy", &basic("bob:one")).await, 200);
    assert_eq!(status(&server, "GET", "/bell/m/x", "").await, 200);
    assert_eq!(status(&server, "GET", "/m/x", "").await, 401);
    now.store(Arc::new(Some(users(&[("bob", "two")]))));
    assert_eq!(status(&server, "GET", "/bell/-/healthy", &basic("bob:one")).await, 401);
    assert_eq!(status(&server, "GET", "/bell/-/healthy", &basic("bob:two")).await, 200);
    now.store(Arc::new(Some(Users::default())));
    assert_eq!(status(&server, "GET", "/bell/-/healthy", "").await, 200);
}

#[test]
fn mistakes_in_users() {
    let one = |user: &str, hash: &str| Users::build(BTreeMap::from([(user.to_owned(), hash.to_owned())]));
    // Written by htpasswd -B; Go's and htpasswd's prefixes differ.
    let known = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
    assert!(one("bob", known).is_ok() && one("bob", &known.replace("2y", "2a")).is_ok());
    for (user, hash, part) in [
        ("", known, "colon"),
        ("a:b", known, "colon"),
        ("bob", "plain", "not a bcrypt hash"),
        ("bob", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "not a bcrypt hash"),
        ("bob", &known.replace("$10$", "$31$"), "cost"),
        ("bob", &known.replace("$10$", "$03$"), "cost"),
    ] {
        let error = one(user, hash).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains(hash), "{error}");
    }
    assert_eq!(format!("{:?}", users(&[("bob", "x")])), r#"{"bob"}"#);
}
