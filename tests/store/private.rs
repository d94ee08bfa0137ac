//! The private servers and the proxy do what the tests that use them believe.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::harness::NOW;
use crate::postgres::{advance, stopped_clock};
use crate::proxy::{Cut, Mode, Proxy};
use crate::server::{Database, Server, Settings, shared};

async fn through(proxy: &Proxy, database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url_at(proxy.port()), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn a_proxy_cuts_before_and_after_a_commit() {
    let Some(server) = shared() else { return };
    let database = server.database().await;
    database.run("CREATE TABLE t (n INTEGER)").await;
    let proxy = Proxy::start(server.port()).await;
    for (n, cut, explicit, rows) in
        [(1, Cut::Before, true, 0), (2, Cut::After, true, 1), (3, Cut::Before, false, 0), (4, Cut::After, false, 1)]
    {
        let mut client = through(&proxy, &database).await;
        proxy.trap(cut, move |sql| if explicit { sql == "COMMIT" } else { sql.starts_with("INSERT") });
        let insert = format!("INSERT INTO t VALUES ({n})");
        if explicit {
            let transaction = client.transaction().await.unwrap();
            transaction.execute_typed(&insert, &[]).await.unwrap();
            transaction.commit().await.unwrap_err();
        } else {
            client.execute_typed(&insert, &[]).await.unwrap_err();
        }
        assert_eq!(proxy.trapped(), n);
        // A transaction that was never committed ends with its connection, which the server may notice later.
        assert_eq!(database.number(&format!("SELECT count(*) FROM t WHERE n = {n}")).await, rows, "{cut:?} {explicit}");
    }
}

#[tokio::test]
async fn a_proxy_refuses_freezes_delays_and_cuts() {
    let Some(server) = shared() else { return };
    let database = server.database().await;
    let proxy = Proxy::start(server.port()).await;
    let client = through(&proxy, &database).await;
    proxy.set(Mode::Freeze);
    let mut frozen = Box::pin(client.simple_query("SELECT 1"));
    tokio::time::timeout(Duration::from_millis(50), &mut frozen).await.unwrap_err();
    let delay = Duration::from_millis(30);
    proxy.set(Mode::Delay(delay));
    frozen.await.unwrap();
    let begun = std::time::Instant::now();
    client.simple_query("SELECT 1").await.unwrap();
    assert!(begun.elapsed() >= 2 * delay);
    proxy.set(Mode::Pass);
    proxy.cut();
    client.simple_query("SELECT 1").await.unwrap_err();
    let client = through(&proxy, &database).await;
    proxy.set(Mode::Refuse);
    client.simple_query("SELECT 1").await.unwrap_err();
    assert!(tokio_postgres::connect(&database.url_at(proxy.port()), NoTls).await.is_err());
    proxy.set(Mode::Pass);
    through(&proxy, &database).await.simple_query("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn a_stopped_clock_moves_when_told() {
    let Some(server) = shared() else { return };
    let database = stopped_clock(&server, NOW).await;
    let now = "SELECT (extract(epoch from clock_timestamp()) * 1000)::bigint";
    assert_eq!(database.number(now).await, NOW);
    advance(&database, Duration::from_millis(1_001)).await;
    assert_eq!(database.number(now).await, NOW + 1_001);
}

const CHILD: &str = "ALARMBELL_SERVER_TEST_CHILD";

#[tokio::test]
#[allow(clippy::print_stdout)]
#[ignore = "the process that a_server_ends_with_its_process starts and kills"]
async fn child_with_a_server() {
    std::env::var_os(CHILD).expect("only its parent runs this");
    let server = Server::start(&Settings { durable: true, ..Settings::default() }).unwrap();
    let database = server.database().await;
    database.run("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").await;
    server.down(true).unwrap();
    server.up().unwrap();
    let rows = database.number("SELECT count(*) FROM t").await;
    let folder: String =
        database.client().await.query_one("SHOW data_directory", &[]).await.unwrap().get::<_, String>(0);
    println!("server with {rows} in {folder}");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_server_ends_with_its_process() {
    if shared().is_none() {
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "private::child_with_a_server", "--ignored", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folder = lines.find_map(|line| Some(line.split_once("server with 1 in ")?.1.to_owned())).unwrap();
    let pid = std::fs::read_to_string(Path::new(&folder).join("postmaster.pid")).unwrap();
    let process = Path::new("/proc").join(pid.lines().next().unwrap());
    assert!(process.exists());
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..2_000 {
        if !Path::new(&folder).exists() && !process.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{folder} or its server is still there");
}
