//! The way to the robots: proxies, who goes without, and certificates that only this company's CA signed.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alarmbell::model::BotKind;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};

use crate::support::program::Program;
use crate::support::server::ALARMBELL;
use crate::support::{Hook, Place, Robots, config, wait_until};

/// Passes connections on to the robots, and counts them.
async fn proxy(robots: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut robot = TcpStream::connect(robots).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut robot).await;
            });
        }
    });
    (address, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_used_unless_no_proxy_says_otherwise() {
    let robots = Robots::start().await;
    let (proxy, count) = proxy(robots.address).await;
    // A host that nobody can resolve: the proxy does not care.
    let mut far = robots.bot(BotKind::DingTalk, "far").with("allow_http: true");
    far.url = far.url.replace(&robots.address.to_string(), "robots.invalid");
    let far = far.with(format!("http_config: {{proxy_url: \"http://{proxy}\"}}"));
    let near = robots.bot(BotKind::WeCom, "near");
    let near = near.with(format!("http_config: {{proxy_url: \"http://{proxy}\", no_proxy: \"127.0.0.1,.corp\"}}"));
    let place = Place::new(&config(&[far.clone(), near.clone()], ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1")).await;
    robots.wait_told(&near, "n1").await;
    robots.wait_told(&far, "n1").await;
    server.wait_empty().await;
    assert_eq!(count.load(Ordering::SeqCst), 1, "only one of them went through it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environments_proxy_is_used_unless_it_is_switched_off() {
    let robots = Robots::start().await;
    let (proxy, count) = proxy(robots.address).await;
    let mut follows = robots.bot(BotKind::DingTalk, "follows").with("allow_http: true");
    follows.url = follows.url.replace(&robots.address.to_string(), "robots.invalid");
    let ignores = robots.bot(BotKind::WeCom, "ignores").with("http_config: {proxy_from_environment: false}");
    let place = Place::new(&config(&[follows.clone(), ignores.clone()], ""));
    let mut program = Program::start(ALARMBELL, |command| {
        command
            .current_dir(place.path())
            .env("HTTP_PROXY", format!("http://{proxy}"))
            .env("http_proxy", format!("http://{proxy}"));
        command.args(["--config.file=alarmbell.yml", "--storage.path=data", "--web.listen-address=127.0.0.1:0"]);
    });
    let line = program.wait_line("msg=listening").await;
    let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let url = format!("http://{address}/api/v1/webhook");
    let hook = Hook::new("g").firing("n1").body();
    assert_eq!(crate::support::web::CLIENT.post(url).body(hook).send().await.unwrap().status(), 200);
    robots.wait_told(&ignores, "n1").await;
    robots.wait_told(&follows, "n1").await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// Ends TLS before the robots, with a certificate of the test CA for 127.0.0.1.
fn tls(robots: SocketAddr) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_file(fixture("robot.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("robot.key")).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = Arc::new(server.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
            let mut client = rustls::StreamOwned::new(session, client.unwrap());
            // A client that does not trust us ends here.
            let Some(request) = request(&mut client) else { continue };
            let mut robot = std::net::TcpStream::connect(robots).unwrap();
            robot.write_all(request.replacen("\r\n", "\r\nconnection: close\r\n", 1).as_bytes()).unwrap();
            let mut answer = Vec::new();
            robot.read_to_end(&mut answer).unwrap();
            client.write_all(&answer).unwrap();
            client.conn.send_close_notify();
            let _ = client.flush();
        }
    });
    address
}

fn request(client: &mut impl std::io::Read) -> Option<String> {
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    loop {
        let read = client.read(&mut piece).ok().filter(|read| *read > 0)?;
        text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse().unwrap() {
            return Some(text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_ca_is_trusted_and_no_other() {
    let robots = Robots::start().await;
    let front = tls(robots.address);
    let over_tls = |name: &str| {
        let mut bot = robots.bot(BotKind::WeCom, name);
        bot.url = bot.url.replace(&format!("http://{}", robots.address), &format!("https://{front}"));
        bot
    };
    let ca = fixture("ca.pem").display().to_string();
    let trusts = over_tls("trusts").with(format!("http_config: {{tls_config: {{ca_file: \"{ca}\"}}}}"));
    let doubts = over_tls("doubts");
    let careless = over_tls("careless").with("http_config: {tls_config: {insecure_skip_verify: true}}");
    let place = Place::new(&config(&[trusts.clone(), doubts.clone(), careless.clone()], ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1")).await;
    robots.wait_told(&trusts, "n1").await;
    robots.wait_told(&careless, "n1").await;
    server.wait_metric("attempts_total", &[("bot", "doubts"), ("verdict", "retry")], 1.0).await;
    assert_eq!(robots.requests(&doubts).len(), 0);
    wait_until("the log says why", || async { server.logs().to_lowercase().contains("certificate") }).await;
}
