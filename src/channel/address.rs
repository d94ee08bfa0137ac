//! What a webhook URL says: its robot, its vendor's shape, its language.

use sha2::{Digest as _, Sha256};
use url::Url;

use crate::model::{BotKind, Lang};

/// Names a robot without its secret: 16 bytes of SHA-256 over the vendor and the URL's token, in 32 hexadecimal digits.
/// The same token is the same robot whatever else stands in the URL. A URL without a token is hashed whole.
pub fn robot_id(kind: BotKind, url: &str) -> String {
    let token = Url::parse(url).ok().and_then(|parsed| token(kind, &parsed));
    let mut hash = Sha256::new();
    hash.update(kind.as_str());
    hash.update([0]);
    hash.update(token.as_deref().unwrap_or(url));
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Checks that a URL has the shape of this vendor's webhook. Any host is allowed (private deployments, the sandbox).
///
/// # Errors
/// One sentence for a person, without any part of the URL.
pub fn check_url(kind: BotKind, url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|_| format!("this is not a URL; expected {}", shape(kind)))?;
    if !matches!(parsed.scheme(), "https" | "http") || parsed.host_str().is_none_or(str::is_empty) {
        return Err(format!("the URL must begin with https:// and a host; expected {}", shape(kind)));
    }
    if !has_path(kind, &parsed) {
        return Err(wrong_path(kind, &parsed));
    }
    let Some(token) = token(kind, &parsed) else {
        return Err(format!("the robot's token is missing; expected {}", shape(kind)));
    };
    if token.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~')) {
        Ok(())
    } else {
        Err("the robot's token holds characters that no token has (was something else copied with it?)".to_owned())
    }
}

/// Language of the built-in texts when the config names none: English for the international hosts, else Chinese.
pub fn default_lang(kind: BotKind, url: &str) -> Lang {
    let abroad = match kind {
        BotKind::DingTalk => "dingtalk.io",
        BotKind::WeCom => return Lang::Zh,
        BotKind::Feishu => "larksuite.com",
    };
    let parsed = Url::parse(url).ok();
    let host = parsed.as_ref().and_then(Url::host_str).unwrap_or_default();
    let inside = host.strip_suffix(abroad).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
    if inside { Lang::En } else { Lang::Zh }
}

const FEISHU_PATH: &str = "/open-apis/bot/v2/hook/";

const fn shape(kind: BotKind) -> &'static str {
    match kind {
        BotKind::DingTalk => "https://oapi.dingtalk.com/robot/send?access_token=...",
        BotKind::WeCom => "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=...",
        BotKind::Feishu => "https://open.feishu.cn/open-apis/bot/v2/hook/...",
    }
}

fn has_path(kind: BotKind, url: &Url) -> bool {
    match kind {
        BotKind::DingTalk => url.path().ends_with("/robot/send"),
        BotKind::WeCom => url.path().ends_with("/cgi-bin/webhook/send"),
        BotKind::Feishu => url.path().contains(FEISHU_PATH),
    }
}

fn wrong_path(kind: BotKind, url: &Url) -> String {
    if let Some(other) = BotKind::ALL.into_iter().find(|other| has_path(*other, url)) {
        return format!("this is a {} webhook; set `type: {}`", other.as_str(), other.as_str());
    }
    if kind == BotKind::Feishu && url.path().contains("/open-apis/bot/hook/") {
        return format!("this is a webhook of the retired first version; add a new custom bot: {}", shape(kind));
    }
    if kind == BotKind::Feishu && url.path().contains("/trigger-webhook/") {
        return format!("this starts a flow, which takes other messages than a custom bot; expected {}", shape(kind));
    }
    format!("this is not the path of a {} webhook; expected {}", kind.as_str(), shape(kind))
}

/// The decoded secret part; `None` when it is absent or empty.
fn token(kind: BotKind, url: &Url) -> Option<String> {
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let token = match kind {
        BotKind::DingTalk => parameter("access_token"),
        BotKind::WeCom => parameter("key"),
        BotKind::Feishu => {
            let (_, rest) = url.path().split_once(FEISHU_PATH)?;
            // A trailing slash is in use and works.
            Some(rest.strip_suffix('/').unwrap_or(rest).to_owned())
        }
    };
    token.filter(|token| !token.is_empty())
}
