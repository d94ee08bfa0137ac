//! What the demo is made of: three chats with their people, and a config that leads to them.

use std::net::SocketAddr;

use crate::model::BotKind;
use crate::sandbox::{KeywordMode, Member, RateLimit, Rules, Sandbox};

const DINGTALK: &str = "demo-dingtalk";
const WECOM: &str = "demo-wecom";
const FEISHU: &str = "demo-feishu";
/// They sign messages between two ends of one process.
const DINGTALK_SECRET: &str = "SEC00000000000000000000000000000000000000000000000000000000000demo0";
const FEISHU_SECRET: &str = "demo000000000000000000";

const ZHANG_OPEN_ID: &str = "ou_00000000000000000000000000000001";
const LI_OPEN_ID: &str = "ou_00000000000000000000000000000002";

/// Puts the chats into the sandbox. The slow vendors' 20 messages a minute become 20 in `60 s / speed`.
pub(super) fn chats(sandbox: &Sandbox, speed: u32) -> Result<(), String> {
    let limits = Some(vec![RateLimit { messages: 20, per_ms: window_ms(speed) }]);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let dingtalk = Rules {
        name: "运维值班群".to_owned(),
        secret: DINGTALK_SECRET.to_owned(),
        keywords: words(&["Alarm", "Dispatch"]),
        keyword_mode: KeywordMode::All,
        rate_limits: limits.clone(),
        members: vec![member("张三", "13800000000", "zhangsan", ""), member("李四", "13900000000", "lisi", "")],
        ..Rules::default()
    };
    let wecom = Rules {
        name: "DBA 值班群".to_owned(),
        rate_limits: limits,
        members: vec![member("张三", "13800000000", "ZhangSan", ""), member("李四", "13900000000", "LiSi", "")],
        ..Rules::default()
    };
    let feishu = Rules {
        name: "研发告警群".to_owned(),
        secret: FEISHU_SECRET.to_owned(),
        keywords: words(&["Alarm"]),
        members: vec![member("张三", "", "", ZHANG_OPEN_ID), member("李四", "", "", LI_OPEN_ID)],
        ..Rules::default()
    };
    sandbox.put_robot(BotKind::DingTalk, DINGTALK, dingtalk)?;
    sandbox.put_robot(BotKind::WeCom, WECOM, wecom)?;
    sandbox.put_robot(BotKind::Feishu, FEISHU, feishu)
}

fn member(name: &str, mobile: &str, user_id: &str, open_id: &str) -> Member {
    Member {
        name: name.to_owned(),
        mobile: mobile.to_owned(),
        user_id: user_id.to_owned(),
        open_id: open_id.to_owned(),
    }
}

fn window_ms(speed: u32) -> u64 {
    60_000 / u64::from(speed.max(1))
}

/// The config of the server. The times are those of a demonstration: 2 s instead of 45 s until an unchanged alert is
/// a reminder, 15 s between digests, and a person is called again after 15 s.
pub(super) fn config(robots: SocketAddr, speed: u32) -> String {
    let window = window_ms(speed);
    let dedup = 2_000 / u64::from(speed.max(1));
    let interval = (15_000 / u64::from(speed.max(1))).max(1_000);
    format!(
        r#"global:
  language: zh
  timezone: Asia/Shanghai
  dedup_window: {dedup}ms
  digest: {{interval: {interval}ms}}
  http_config: {{proxy_from_environment: false}}
bots:
  - name: ops-dingtalk
    type: dingtalk
    url: http://{robots}/robot/send?access_token={DINGTALK}
    secret: {DINGTALK_SECRET}
    keywords: [Alarm, Dispatch]
    rate_limits: [{{messages: 20, per: {window}ms}}]
    mention: {{contacts_from_label: owner, min_severity: critical, interval: 15s}}
  - name: dba-wecom
    type: wecom
    url: http://{robots}/cgi-bin/webhook/send?key={WECOM}
    rate_limits: [{{messages: 20, per: {window}ms}}]
    mention: {{min_severity: critical, interval: 15s}}
  - name: dev-feishu
    type: feishu
    url: http://{robots}/open-apis/bot/v2/hook/{FEISHU}
    secret: {FEISHU_SECRET}
    keywords: [Alarm]
    mention: {{contacts_from_label: owner, min_severity: error, interval: 15s}}
contacts:
  - {{name: zhang.san, mobile: "13800000000", dingtalk_user_id: zhangsan, wecom_user_id: ZhangSan, feishu_open_id: {ZHANG_OPEN_ID}}}
  - {{name: li.si, mobile: "13900000000", dingtalk_user_id: lisi, wecom_user_id: LiSi, feishu_open_id: {LI_OPEN_ID}}}
contact_groups:
  - {{name: dba, contacts: [zhang.san, li.si], bots: [dba-wecom]}}
policies:
  - {{name: database, matchers: ['team="db"'], notify: {{contact_groups: [dba]}}, continue: true}}
  - {{name: critical, matchers: ['severity="critical"'], notify: {{bots: [ops-dingtalk, dev-feishu]}}}}
  - {{name: network, matchers: ['team="net"'], notify: {{bots: [ops-dingtalk]}}}}
default_policy: {{notify: {{bots: [dev-feishu]}}}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn config_and_chats_are_without_mistakes() {
        for speed in [1, 20] {
            let text = config(SocketAddr::from(([127, 0, 0, 1], 8061)), speed);
            let loaded = crate::config::parse_str("demo", &text, std::path::Path::new("."));
            assert!(loaded.as_ref().is_ok_and(|loaded| loaded.warnings.is_empty()), "{loaded:?}");
            chats(&Sandbox::new(SystemClock::new(), false), speed).unwrap();
        }
    }
}
