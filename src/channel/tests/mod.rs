//! What the vendors document and what was seen of them, as tables; and properties that hold for any text.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bodies;
mod escaping;
mod kinds;
mod kinds_props;
mod replies;
mod signing;

use crate::model::{BotKind, Contact, Dialect, Draft, Layout, Mentions, Tone};

/// The vendor's dialect with its default layout.
fn dialect(kind: BotKind, signed: bool) -> Box<dyn Dialect> {
    crate::channel::dialect(kind, Layout::of(kind)[0], signed)
}

fn draft(title: &str, body: &str) -> Draft {
    Draft {
        title: title.to_owned(),
        body: body.to_owned(),
        plain: false,
        layout: Layout::Markdown,
        tone: Tone::Red,
        facts: Vec::new(),
        links: Vec::new(),
        folded: None,
        mentions: Mentions::default(),
    }
}

fn plain(title: &str, body: &str) -> Draft {
    Draft { plain: true, ..draft(title, body) }
}

fn person(name: &str, mobile: &str, dingtalk: &str, wecom: &str, feishu: &str) -> Contact {
    Contact {
        name: name.to_owned(),
        mobile: mobile.to_owned(),
        email: String::new(),
        dingtalk_user_id: dingtalk.to_owned(),
        wecom_user_id: wecom.to_owned(),
        feishu_open_id: feishu.to_owned(),
    }
}

fn zhang() -> Contact {
    person("zhang.san", "13800000000", "", "zhangsan", "ou_zhang")
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn people(people: &[Contact]) -> Mentions {
    Mentions { all: false, people: people.to_vec() }
}
