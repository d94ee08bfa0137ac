//! What a chat is told of alerts that its robot refused.

use super::KeywordMode;
use crate::model::{Draft, Lang, Mentions, Tone};

/// A plain text notice that `dead` alerts were refused and kept as dead letters. Holds the keywords, and nothing from
/// any alert: the robot has refused that.
pub fn notice(lang: Lang, dead: u32, keywords: &[String], mode: KeywordMode) -> Draft {
    let (title, mut body) = match lang {
        Lang::Zh => (
            "Alarm｜有告警被机器人拒收".to_owned(),
            format!(
                "{dead} 条告警的内容被机器人拒收，未能显示在此。它们保存在 alarmbell 的死信中（/api/v1/dead-letters）。"
            ),
        ),
        Lang::En => (
            "Alarm: the robot refused alerts".to_owned(),
            format!(
                "The robot refused the content of {dead} alert(s), so they are not shown here. \
                 They are kept among alarmbell's dead letters (/api/v1/dead-letters)."
            ),
        ),
    };
    let missing: Vec<&str> =
        keywords.iter().map(String::as_str).filter(|word| !title.contains(word) && !body.contains(word)).collect();
    let wanted = match mode {
        KeywordMode::All => true,
        KeywordMode::Any => missing.len() == keywords.len(),
    };
    if wanted && !missing.is_empty() {
        body.push('\n');
        body.push_str(&missing.join(" "));
    }
    Draft::plain(title, body, Tone::Grey, Mentions::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_keywords() {
        let words = ["Alarm".to_owned(), "Dispatch".to_owned()];
        let all = notice(Lang::Zh, 2, &words, KeywordMode::All);
        assert!(all.title.contains("Alarm") && all.body.ends_with("\nDispatch"), "{all:?}");
        let any = notice(Lang::En, 2, &words, KeywordMode::Any);
        assert!(!any.body.contains("Dispatch"), "{any:?}");
        let none = notice(Lang::En, 2, &["ops".to_owned()], KeywordMode::Any);
        assert!(none.body.ends_with("\nops"), "{none:?}");
    }
}
