//! Prometheus, Alertmanager, and something to watch.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::program::Program;
use crate::support::wait_until;
use crate::support::web::{Answer, CLIENT};

/// A port that was free a moment ago: these programs can not tell which one they took.
pub async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn wait_ready(what: &str, address: SocketAddr) {
    wait_until(&format!("{what} is ready"), || async {
        let ready = CLIENT.get(format!("http://{address}/-/ready"));
        Answer::of(ready).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
}

/// Exports which disks are full, as the test says.
pub struct Exporter {
    pub address: SocketAddr,
    full: Arc<Mutex<Vec<String>>>,
}

impl Exporter {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let full: Arc<Mutex<Vec<String>>> = Arc::default();
        let shown = Arc::clone(&full);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // One request a connection; its head is read in one piece.
                let _ = stream.read(&mut [0; 4096]).await;
                let body = exposition(&shown.lock().unwrap());
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n";
                let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, full }
    }

    /// From the next scrape on exactly these are full.
    pub fn set_full(&self, hosts: &[&str]) {
        *self.full.lock().unwrap() = hosts.iter().map(|host| (*host).to_owned()).collect();
    }
}

fn exposition(full: &[String]) -> String {
    let line = |host: &str| {
        let value = u8::from(full.iter().any(|name| name == host));
        format!("disk_full{{host=\"{host}\"}} {value}\n")
    };
    let lines: String = ["db-01", "db-02", "db-03"].map(line).concat();
    format!("# TYPE disk_full gauge\n{lines}")
}

/// A real Alertmanager with short times and one receiver.
pub struct Alertmanager {
    pub address: SocketAddr,
    program: Program,
    _dir: TempDir,
}

impl Alertmanager {
    pub async fn start(program: &str, webhook: &str) -> Self {
        Self::start_with(program, webhook, &["--cluster.listen-address=".to_owned()]).await
    }

    /// The same with these flags for its cluster.
    pub async fn start_with(program: &str, webhook: &str, cluster: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "route: {{receiver: alarmbell, group_by: [alertname], group_wait: 2s, group_interval: 3s, repeat_interval: 1h}}\n\
             receivers:\n  - name: alarmbell\n    webhook_configs: [{{url: \"{webhook}\", send_resolved: true}}]\n"
        );
        std::fs::write(dir.path().join("alertmanager.yml"), config).unwrap();
        let address = free_address().await;
        let program = Program::start(program, |command| {
            command.current_dir(dir.path()).arg("--config.file=alertmanager.yml").arg("--storage.path=data");
            command.arg(format!("--web.listen-address={address}")).args(cluster);
        });
        wait_ready("Alertmanager", address).await;
        Self { address, program, _dir: dir }
    }

    /// Tells it of an alert, as Prometheus does: it fires from one time on, and has ended at the other.
    pub async fn tell(&self, host: &str, starts: jiff::Timestamp, ends: Option<jiff::Timestamp>) {
        let mut alert = serde_json::json!({
            "labels": {"alertname": "DiskFull", "host": host, "severity": "critical"},
            "annotations": {"summary": format!("{host} has no room left")},
            "startsAt": starts.to_string(),
            "generatorURL": "http://prometheus.example:9090/graph?g0.expr=disk_full",
        });
        if let Some(ends) = ends {
            alert["endsAt"] = ends.to_string().into();
        }
        let post = CLIENT.post(format!("http://{}/api/v2/alerts", self.address));
        let body = serde_json::json!([alert]).to_string();
        let answer = Answer::of(post.header("content-type", "application/json").body(body)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// How many Alertmanagers its cluster has, as it knows.
    pub async fn peers(&self) -> usize {
        let answer = Answer::of(CLIENT.get(format!("http://{}/api/v2/status", self.address))).await.unwrap();
        answer.json()["cluster"]["peers"].as_array().map_or(0, Vec::len)
    }

    /// As `kill -9` does.
    pub async fn kill(mut self) {
        self.program.kill().await;
    }
}

/// A real Prometheus that watches the exporter and alarmbell.
pub struct Prometheus {
    address: SocketAddr,
    _program: Program,
    _dir: TempDir,
}

const RULE: &str = r#"
groups:
  - name: disks
    rules:
      - alert: DiskFull
        expr: disk_full == 1
        labels: {severity: critical, owner: zhang.san, cluster: prod-sh}
        annotations:
          summary: '{{ $labels.host }} has no room left'
          runbook_url: https://runbooks.example.com/disk
"#;

impl Prometheus {
    pub async fn start(program: &str, exporter: SocketAddr, alertmanager: SocketAddr, alarmbell: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("disks.yml"), RULE).unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rules/alarmbell.yml");
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n\
             rule_files: [disks.yml, \"{}\"]\n\
             scrape_configs:\n\
             \x20 - {{job_name: disks, static_configs: [{{targets: [\"{exporter}\"]}}]}}\n\
             \x20 - {{job_name: alarmbell, static_configs: [{{targets: [\"{alarmbell}\"]}}]}}\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{alertmanager}\"]}}]}}]}}\n",
            examples.display()
        );
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let address = free_address().await;
        let program = Program::start(program, |command| {
            command.current_dir(dir.path()).arg("--config.file=prometheus.yml").arg("--storage.tsdb.path=data");
            command.arg(format!("--web.listen-address={address}"));
        });
        wait_ready("Prometheus", address).await;
        Self { address, _program: program, _dir: dir }
    }

    async fn ask(&self, path: &str) -> serde_json::Value {
        Answer::of(CLIENT.get(format!("http://{}{path}", self.address))).await.unwrap().data()
    }

    /// Prometheus has scraped alarmbell, and evaluates the example rules without an error or an alert.
    pub async fn watches_alarmbell(&self) {
        let query = "/api/v1/query?query=sum(alarmbell_alert_states_told_total)";
        wait_until("Prometheus has scraped what was told", || async {
            self.ask(query).await["result"][0]["value"][1] == "18"
        })
        .await;
        wait_until("the example rules were evaluated", || async {
            let rules = self.ask("/api/v1/rules").await;
            let groups = rules["groups"].as_array().unwrap().clone();
            let ours =
                groups.iter().filter(|group| group["file"].as_str().unwrap().ends_with("examples/rules/alarmbell.yml"));
            let all: Vec<_> = ours.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
            assert!(!all.is_empty());
            for rule in &all {
                assert!(rule["lastError"].as_str().unwrap_or("").is_empty(), "{rule}");
                assert_ne!(rule["state"], "firing", "{rule}");
            }
            all.iter().all(|rule| rule["health"] == "ok")
        })
        .await;
    }
}
