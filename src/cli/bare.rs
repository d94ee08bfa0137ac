//! A config for those who have none: a bot of each vendor with what is built in.

use std::path::Path;
use std::time::Duration;

use crate::config::{self, Config};
use crate::model::{Lang, Mistake};
use crate::routing::MentionRule;

/// Where links in such messages lead.
pub(super) const EXTERNAL_URL: &str = "https://alarmbell.example.com";
/// Who is called when somebody is.
const CONTACT: &str = "zhang.san";

/// One bot of each vendor, called as its vendor is, in one language; `calls` says whether firing alerts of any severity call
/// a sample contact.
///
/// # Errors
/// None; a test reads it.
pub(super) fn config(lang: Lang, calls: bool) -> Result<Config, Vec<Mistake>> {
    let text = format!(
        "global: {{language: {}}}
bots:
  - {{name: dingtalk, type: dingtalk, url: 'https://oapi.dingtalk.com/robot/send?access_token=sample', secret: SECsample}}
  - {{name: wecom, type: wecom, url: 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=sample'}}
  - {{name: feishu, type: feishu, url: 'https://open.feishu.cn/open-apis/bot/v2/hook/sample', secret: sample}}
contacts:
  - name: {CONTACT}
    mobile: '13800000000'
    dingtalk_user_id: zhangsan
    wecom_user_id: ZhangSan
    feishu_open_id: ou_00000000000000000000000000000001
default_policy: {{notify: {{bots: [dingtalk, wecom, feishu]}}}}
",
        lang.as_str()
    );
    let mut config = config::parse_str("the built-in config", &text, Path::new("."))?.config;
    if calls {
        for bot in &mut config.bots {
            bot.mention = MentionRule {
                all: false,
                contacts: vec![CONTACT.to_owned()],
                contacts_from_label: None,
                min_severity: None,
                interval: Duration::ZERO,
            };
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::BotKind;

    #[test]
    fn a_bot_of_each_vendor() {
        for lang in [Lang::Zh, Lang::En] {
            let config = config(lang, true).unwrap();
            let kinds: Vec<BotKind> = config.bots.iter().map(|bot| bot.kind).collect();
            assert_eq!(kinds, BotKind::ALL);
            assert!(config.bots.iter().all(|bot| bot.lang == lang && *bot.name == *bot.kind.as_str()));
        }
    }
}
