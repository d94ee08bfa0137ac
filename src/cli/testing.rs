//! A config with marked secrets for the tests of the commands.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

/// None of these may be in any output.
pub(super) const SECRETS: [&str; 5] =
    ["MARKtokenDING", "SECMARKsignDING", "MARKtokenWECOM", "MARKtokenFEISHU", "MARKsignFEISHU"];

const CONFIG: &str = r#"
bots:
  - name: first
    type: dingtalk
    url: https://oapi.dingtalk.com/robot/send?access_token=MARKtokenDING
    secret: SECMARKsignDING
    keywords: [Alarm]
  - name: second
    type: wecom
    url: https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=MARKtokenWECOM
    send_resolved: false
  - name: third
    type: feishu
    url: https://open.feishu.cn/open-apis/bot/v2/hook/MARKtokenFEISHU
    secret: MARKsignFEISHU
contacts:
  - {name: zhang.san, mobile: "13800000000", wecom_user_id: ZhangSan}
contact_groups:
  - {name: dba, contacts: [zhang.san], bots: [first]}
policies:
  - {name: audit, matchers: ['severity=~"page|critical"'], notify: {bots: [second]}, group_by: ['...'], continue: true}
  - name: dba
    matchers: ['team=~"db|storage"']
    notify: {contact_groups: [dba], bots: [second]}
    mention: {min_severity: critical, interval: 10m}
    group_by: [alertname, cluster]
    active_time_intervals: [working-hours]
  - {name: test, matchers: ['env="test"'], notify: none}
default_policy: {notify: {bots: [third]}}
time_intervals:
  - name: working-hours
    time_intervals: [{weekdays: ['monday:friday']}]
"#;

/// A temporary folder with the config in it.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("alarmbell.yml", CONFIG);
        folder
    }

    pub(super) fn config(&self) -> String {
        std::fs::read_to_string(self.config_file()).unwrap()
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.0.path().join("alarmbell.yml")
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}
