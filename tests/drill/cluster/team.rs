//! Nine bots of all three vendors, in seven crews, as strict as the vendors.

use alarmbell::model::BotKind;
use alarmbell::sandbox::{FaultKind, Rules};
use fastrand::Rng;

use crate::support::{Bot, Robots};

/// What people read as one chat: the robots of a bot, or the one robot of several bots.
pub struct Room {
    pub name: &'static str,
    /// Bots of the config that speak here.
    pub bots: &'static [&'static str],
    /// Its robots; each has its own limit.
    pub robots: Vec<Bot>,
}

/// Alerts whose name begins so are told by the bot `left`, all others by the bot `right`, which has the same robot.
pub const LEFT: &str = "Left";
/// The most bots that belong together.
pub const LARGEST_CREW: u64 = 2;
/// Bots in all.
pub const BOTS: u64 = 9;

/// Name, bots and number of robots of each room. `dt-b` has `wc-b` as its fallback.
const ROOMS: [(&str, &[&str], BotKind, usize); 8] = [
    ("dt-a", &["dt-a"], BotKind::DingTalk, 1),
    ("wc-a", &["wc-a"], BotKind::WeCom, 1),
    ("fs-a", &["fs-a"], BotKind::Feishu, 1),
    ("fs-b", &["fs-b"], BotKind::Feishu, 1),
    ("dt-b", &["dt-b"], BotKind::DingTalk, 1),
    ("wc-b", &["wc-b"], BotKind::WeCom, 1),
    ("pool", &["pool"], BotKind::WeCom, 2),
    ("shared", &["left", "right"], BotKind::Feishu, 1),
];

/// Makes the robots.
pub fn rooms(robots: &Robots) -> Vec<Room> {
    let room = |(name, bots, kind, count): (&'static str, &'static [&'static str], BotKind, usize)| {
        let robots = (0..count).map(|n| {
            let name = if count == 1 { name.to_owned() } else { format!("{name}-{n}") };
            robots.bot_with(kind, &name, Rules::default())
        });
        Room { name, bots, robots: robots.collect() }
    };
    ROOMS.into_iter().map(room).collect()
}

/// Every robot.
pub fn all(rooms: &[Room]) -> Vec<Bot> {
    rooms.iter().flat_map(|room| room.robots.clone()).collect()
}

/// The config of every replica: each alert goes to all bots, but for the two that share a robot, of which one tells it.
pub fn config(rooms: &[Room], short: bool, threshold: u32) -> String {
    let (window, interval) = if short { (15, 5) } else { (45, 10) };
    let mut out = format!(
        "global:\n  language: en\n  timezone: UTC\n  dedup_window: {window}s\n\
         \x20 digest: {{interval: {interval}s, threshold: {threshold}}}\nbots:\n"
    );
    for room in rooms {
        let urls: Vec<String> = room.robots.iter().map(|robot| format!("{{url: \"{}\"}}", robot.url)).collect();
        for bot in room.bots {
            let kind = room.robots[0].kind.as_str();
            let fallback = if *bot == "dt-b" { ", fallback: wc-b" } else { "" };
            out.push_str(&format!("  - {{name: {bot}, type: {kind}, robots: [{}]{fallback}}}\n", urls.join(", ")));
        }
    }
    let others = rooms.iter().flat_map(|room| room.bots).filter(|bot| !["left", "right"].contains(bot));
    let others: Vec<&str> = others.copied().collect();
    let others = others.join(", ");
    out.push_str(&format!(
        "policies:\n  - {{name: left, matchers: ['alertname=~\"{LEFT}.*\"'], notify: {{bots: [{others}, left]}}}}\n\
         default_policy: {{notify: {{bots: [{others}, right]}}}}\n"
    ));
    out
}

/// Lets every robot answer a little late, so that incidents meet messages in flight.
pub fn slow(robots: &Robots, rooms: &[Room], rng: &mut Rng) {
    for robot in rooms.iter().flat_map(|room| &room.robots) {
        robots.clear_faults(robot);
        robots.slow_fault(robot, FaultKind::Latency, 0, rng.u64(50..1_000));
    }
}
