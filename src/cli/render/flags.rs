//! The flags of `render`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;

use crate::cli::args::{ExternalUrl, external_url, time};
use crate::model::{BotKind, Lang, Layout};
use crate::render::Form;

/// Flags of `render`.
#[derive(Args, Clone, Debug, Default)]
pub struct Render {
    /// The config; by default alarmbell.yml, and where there is none a bot of each vendor with built-in templates
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Do as if there were no alarmbell.yml
    #[arg(long, conflicts_with_all = ["config_file", "bot"])]
    pub no_config: bool,
    /// The bot that would be told; all of them by default
    #[arg(long, value_name = "NAME")]
    pub bot: Option<String>,
    /// Only bots of this vendor
    #[arg(long = "type", value_name = "TYPE", value_parser = one_of(&TYPES))]
    pub vendor: Option<BotKind>,
    /// In this of the vendor's message types, instead of the bot's `kind`
    #[arg(long, value_name = "KIND", value_parser = one_of(&KINDS))]
    pub kind: Option<Layout>,
    /// In this language, instead of the bot's
    #[arg(long, value_name = "LANG", value_parser = one_of(&LANGS))]
    pub lang: Option<Lang>,

    /// A webhook body as Alertmanager sends it; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "sample")]
    pub payload: Option<PathBuf>,
    /// A built-in webhook body (see --list-samples); `firing` by default
    #[arg(long, value_name = "NAME")]
    pub sample: Option<String>,
    /// Name the built-in webhook bodies
    #[arg(long)]
    pub list_samples: bool,
    /// What the chat was told before, a webhook body; several are told one after the other. By default the firing of what is
    /// resolved, and what goes before a sample
    #[arg(long, value_name = "FILE")]
    pub told: Vec<PathBuf>,
    /// When it is rendered, as 2026-11-21T09:00:00+08:00; by default now, and for a sample soon after its alerts
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,

    /// As one digest, as in a storm
    #[arg(long)]
    pub digest: bool,
    /// How much is said: all of it, what a robot gets that refused that, or what one gets that refused even this
    #[arg(long, value_name = "FORM", value_parser = one_of(&FORMS))]
    pub form: Option<Form>,
    /// Call a sample contact. Implies --no-config: a config has mentions of its own
    #[arg(long, conflicts_with_all = ["config_file", "bot"])]
    pub mention: bool,
    /// Template files to try, like 'templates/*.hbs'; they take the place of the config's of the same name
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub templates: Vec<String>,
    /// The template set, instead of those of bots and policies; by default the one of --templates
    #[arg(long, value_name = "SET")]
    pub template: Option<String>,
    /// Where the server would be reached, for the link to the full list
    #[arg(long = "web.external-url", value_name = "URL", value_parser = external_url)]
    pub external_url: Option<ExternalUrl>,

    /// text: all there is to know; brief: what people see; json: for programs; payload: the webhook body itself, to post it
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = one_of(&OUTPUTS))]
    pub output: Output,
    /// Render again when the config, a template or the payload changes, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Output {
    /// Everything.
    #[default]
    Text,
    /// What people see.
    Brief,
    /// One JSON document.
    Json,
    /// The webhook body.
    Payload,
}

const TYPES: [(&str, BotKind); 3] =
    [("dingtalk", BotKind::DingTalk), ("wecom", BotKind::WeCom), ("feishu", BotKind::Feishu)];
const KINDS: [(&str, Layout); 6] = [
    ("markdown", Layout::Markdown),
    ("actionCard", Layout::ActionCard),
    ("markdown_v2", Layout::MarkdownV2),
    ("template_card", Layout::TemplateCard),
    ("card", Layout::Card),
    ("post", Layout::Post),
];
const LANGS: [(&str, Lang); 2] = [("zh", Lang::Zh), ("en", Lang::En)];
const FORMS: [(&str, Form); 3] = [("full", Form::Full), ("plain", Form::Plain), ("counts", Form::Counts)];
const OUTPUTS: [(&str, Output); 4] =
    [("text", Output::Text), ("brief", Output::Brief), ("json", Output::Json), ("payload", Output::Payload)];

/// Takes one of these words for its value.
fn one_of<T: Copy + Send + Sync>(words: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    let names = PossibleValuesParser::new(words.iter().map(|(word, _)| *word));
    names.try_map(|found| {
        words.iter().find(|(word, _)| *word == found).map(|(_, value)| *value).ok_or("it is none of these words")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_kind_of_every_vendor_can_be_asked_for() {
        assert_eq!(TYPES.map(|(_, kind)| kind), BotKind::ALL);
        for (word, kind) in TYPES {
            assert_eq!(kind.as_str(), word);
            for layout in Layout::of(kind) {
                assert!(KINDS.contains(&(layout.as_str(), *layout)), "{layout:?}");
            }
        }
        assert!(LANGS.iter().all(|(word, lang)| lang.as_str() == *word));
    }
}
