//! What is kept of a run that failed.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::incident::Incident;
use super::replicas::Replicas;
use super::team::Room;
use crate::chat::Chat;
use crate::ledger::Ledger;
use crate::support::Robots;

/// What happened, a line each.
pub fn story(incidents: &[Incident]) -> Vec<String> {
    let line = |one: &Incident| {
        let (from, to) = (one.from.as_secs_f64(), one.to.as_secs_f64());
        format!("{from:7.1} to {to:7.1} s  {:<30} {}", one.kind.as_str(), one.how)
    };
    incidents.iter().map(line).collect()
}

/// Writes logs, chats, requests and the ledger into a folder, and returns it.
pub async fn keep(
    seed: u64,
    replicas: &Replicas,
    robots: &Robots,
    rooms: &[Room],
    ledger: &Ledger,
    chats: &[(String, Chat)],
    incidents: &[Incident],
) -> PathBuf {
    let folder = std::env::temp_dir().join("alarmbell-drill").join(format!("cluster-{seed}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    for (name, log) in replicas.logs().await {
        write(&name, log);
    }
    std::fs::copy(replicas.config(), folder.join("alarmbell.yml")).unwrap();
    write("incidents.txt", story(incidents).join("\n") + "\n");
    for (name, chat) in chats {
        write(&format!("chat-{name}.txt"), chat.draw());
    }
    for robot in rooms.iter().flat_map(|room| &room.robots) {
        let lines = robots.requests(robot);
        let lines: Vec<String> = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
        write(&format!("requests-{}.jsonl", robot.name), lines.join("\n") + "\n");
    }
    let alerts = ledger.alerts().clone();
    let alerts: Vec<Value> = alerts
        .iter()
        .enumerate()
        .map(|(n, alert)| {
            let posted =
                alert.posted.iter().map(|posted| json!([posted.step, posted.taken.map(|at| at.as_secs_f64())]));
            json!({"alert": n, "name": alert.name, "severity": alert.severity, "posted": posted.collect::<Vec<_>>()})
        })
        .collect();
    let lines: Vec<String> = alerts.iter().map(Value::to_string).collect();
    write("ledger.jsonl", lines.join("\n") + "\n");
    folder
}
