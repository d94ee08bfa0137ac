//! Renders for the sandbox's template playground.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{bare, payload, samples};
use crate::app::build;
use crate::clock::Clock;
use crate::config::Config;
use crate::dispatch::{Occasion, Preview, preview_on};
use crate::model::{BotKind, MessageId, Mistake, Notification};
use crate::render::{Form, Templates};
use crate::sandbox::{Blot, Painted, PaintedMessage, Painter, Sample, Wish};

/// The template set that a person types.
const SET: &str = "playground";
/// What a mistake in the body is said of.
const PAYLOAD: &str = "payload";

/// See the module's text.
pub(super) struct Playground {
    clock: Arc<dyn Clock>,
}

impl Playground {
    /// The clock dates bodies that people type; samples have their own time.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock })
    }
}

/// What is told, and what was before.
struct Story {
    body: Notification,
    told: Option<Vec<Notification>>,
    now: Timestamp,
    digest: bool,
    form: Form,
}

impl Painter for Playground {
    fn samples(&self) -> Vec<Sample> {
        let sample = |sample: &samples::Sample| Sample { name: sample.name.to_owned(), title: sample.title.to_owned() };
        samples::ALL.iter().map(sample).collect()
    }

    fn sources(&self, vendor: BotKind) -> BTreeMap<String, String> {
        Templates::built_in(vendor).map(|(part, source)| (part.to_owned(), source.to_owned())).collect()
    }

    fn paint(&self, wish: &Wish) -> Painted {
        let files = files(wish);
        let found = Templates::new(&files).1;
        // What fails for some messages may work for this one.
        let can_work = found.iter().all(|mistake| mistake.warning);
        let mut mistakes: Vec<Blot> = found.into_iter().map(|mistake| of_template(mistake, wish.vendor)).collect();
        let story = self.story(wish).map_err(|blot| mistakes.push(blot));
        let config = config(wish, files).map_err(|found| mistakes.extend(found.into_iter().map(of_config)));
        match (story, config) {
            (Ok(story), Ok(config)) if can_work => Painted { messages: told(&config, story, wish), mistakes },
            _ => Painted { messages: Vec::new(), mistakes },
        }
    }
}

impl Playground {
    fn story(&self, wish: &Wish) -> Result<Story, Blot> {
        let wrong = |what: String| Blot { part: PAYLOAD.to_owned(), what, ..Blot::default() };
        if let Some(text) = &wish.payload {
            let body = payload::parse(PAYLOAD, text.as_bytes()).map_err(|mistake| blot(PAYLOAD.into(), mistake))?;
            return Ok(Story { body, told: None, now: self.clock.now(), digest: false, form: Form::Full });
        }
        let sample = samples::find(&wish.sample).map_err(wrong)?;
        let body = sample.read(wish.lang).map_err(|error| wrong(error.to_string()))?;
        let told = sample.told(wish.lang).map_err(|error| wrong(error.to_string()))?;
        Ok(Story { told, now: sample.now(&body), digest: sample.digest, form: sample.form, body })
    }
}

/// The typed parts as files of a set.
fn files(wish: &Wish) -> Vec<(String, String)> {
    let typed = wish.parts.iter().filter(|(_, source)| !source.trim().is_empty());
    typed.map(|(part, source)| (file_name(wish.vendor, part), source.clone())).collect()
}

fn file_name(vendor: BotKind, part: &str) -> String {
    format!("{}.{SET}.{part}.hbs", vendor.as_str())
}

/// A config with one bot that has the typed templates.
fn config(wish: &Wish, files: Vec<(String, String)>) -> Result<Config, Vec<Mistake>> {
    let mut config = bare::config(wish.lang, wish.mention)?;
    config.bots.retain(|bot| bot.kind == wish.vendor);
    for bot in &mut config.bots {
        bot.layout = wish.kind.unwrap_or(bot.layout);
        if !files.is_empty() {
            bot.template = SET.to_owned();
        }
    }
    config.template_files = files;
    Ok(config)
}

fn told(config: &Config, story: Story, wish: &Wish) -> Vec<PaintedMessage> {
    let settings = build::dispatch_settings(config, bare::EXTERNAL_URL);
    let occasion = Occasion { told: story.told.as_deref(), digest: story.digest, form: story.form };
    let id = MessageId::from_bytes([0; 16]);
    let Some(bot) = config.bots.first() else { return Vec::new() };
    let previews = preview_on(&occasion, &settings, bot, story.body, story.now, || id.clone());
    previews.messages.into_iter().map(|preview| painted(preview, wish.vendor)).collect()
}

fn painted(preview: Preview, vendor: BotKind) -> PaintedMessage {
    let failure = preview.failure.map(|failure| {
        let part = part_of(&failure.template, vendor);
        match failure.place() {
            (Some((line, column)), why) => format!("{part}, line {line}, column {column}: {why}"),
            (None, why) => format!("{part}: {why}"),
        }
    });
    PaintedMessage {
        body: String::from_utf8_lossy(&preview.body).into_owned(),
        size: preview.size,
        limit: preview.limit,
        named: preview.named,
        counted: preview.counted,
        cut: preview.trim.to_string(),
        failure: failure.unwrap_or_default(),
    }
}

/// The part in a template's or a file's name.
fn part_of(name: &str, vendor: BotKind) -> String {
    let start = format!("{}.{SET}.", vendor.as_str());
    let part = name.strip_prefix(&start).unwrap_or(name);
    part.strip_suffix(".hbs").unwrap_or(part).to_owned()
}

fn of_template(mistake: Mistake, vendor: BotKind) -> Blot {
    let part = part_of(&mistake.place.file, vendor);
    blot(part.into(), mistake)
}

/// Nobody typed it: see [`bare::config`].
fn of_config(mistake: Mistake) -> Blot {
    blot("config".into(), mistake)
}

fn blot(part: Cow<'_, str>, mistake: Mistake) -> Blot {
    Blot {
        part: part.into_owned(),
        line: mistake.place.line,
        column: mistake.place.column,
        what: mistake.what,
        hint: mistake.hint,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::ManualClock;
    use crate::model::{Lang, Layout};

    fn wish(vendor: BotKind, sample: &str) -> Wish {
        Wish {
            vendor,
            kind: None,
            lang: Lang::En,
            sample: sample.to_owned(),
            payload: None,
            mention: false,
            parts: BTreeMap::new(),
        }
    }

    fn playground() -> Arc<Playground> {
        Playground::new(ManualClock::new("2026-11-20T02:05:00Z".parse().unwrap()))
    }

    fn paint(wish: &Wish) -> Painted {
        playground().paint(wish)
    }

    fn typed(part: &str, source: &str) -> Wish {
        Wish { parts: BTreeMap::from([(part.to_owned(), source.to_owned())]), ..wish(BotKind::WeCom, "one") }
    }

    #[test]
    fn every_sample_of_every_vendor_in_every_kind() {
        let samples = playground().samples();
        assert!(samples.iter().any(|sample| sample.name == "storm" && !sample.title.is_empty()));
        for sample in samples {
            for vendor in BotKind::ALL {
                for kind in Layout::of(vendor) {
                    for (lang, mention) in [(Lang::Zh, false), (Lang::En, true)] {
                        let asked = Wish { kind: Some(*kind), lang, mention, ..wish(vendor, &sample.name) };
                        let Painted { messages, mistakes } = paint(&asked);
                        assert_eq!(mistakes, [], "{asked:?}");
                        assert_eq!(messages.len(), 1, "{asked:?}");
                        let message = &messages[0];
                        // A card may have no text but its title and rows.
                        assert!(message.size <= message.limit, "{asked:?}");
                        assert_eq!(message.failure, "");
                        assert!(serde_json::from_str::<serde_json::Value>(&message.body).is_ok(), "{}", message.body);
                    }
                }
            }
        }
    }

    #[test]
    fn the_sources_are_what_is_built_in() {
        for vendor in BotKind::ALL {
            let sources = playground().sources(vendor);
            assert_eq!(sources.keys().map(String::as_str).collect::<Vec<_>>(), ["alert", "body", "digest", "title"]);
            // Typed as they are they change nothing.
            let asked = wish(vendor, "mixed");
            let same = Wish { parts: sources, ..asked.clone() };
            assert_eq!(paint(&same), paint(&asked));
        }
    }

    #[test]
    fn what_is_typed_is_drawn() {
        let painted = paint(&typed("title", "{{emoji}} MY TITLE {{name}}"));
        assert!(painted.messages[0].body.contains("MY TITLE DiskAlmostFull"), "{painted:?}");
        // An empty part is the built-in one.
        assert_eq!(paint(&typed("title", " \n")), paint(&wish(BotKind::WeCom, "one")));
        let storm = Wish { sample: "storm".to_owned(), ..typed("digest", "{{head}} MY DIGEST") };
        assert!(paint(&storm).messages[0].body.contains("MY DIGEST"));
    }

    #[test]
    fn mistakes_are_named_with_part_and_place() {
        let mistake = |wish: &Wish| {
            let Painted { messages, mistakes } = paint(wish);
            assert!(messages.is_empty());
            mistakes.into_iter().next().unwrap()
        };
        let blot = mistake(&typed("alert", "fine\n  {{nonsense name}}"));
        assert_eq!((blot.part.as_str(), blot.line, blot.column), ("alert", 2, 5), "{blot:?}");
        assert!(blot.what.contains("nonsense"), "{blot:?}");
        assert_eq!(mistake(&typed("body", "{{#if x}}")).part, "body");
        let unknown = mistake(&typed("footer", "x"));
        assert!(unknown.part == "footer" && unknown.what.contains("footer"), "{unknown:?}");
        let sample = mistake(&wish(BotKind::Feishu, "strom"));
        assert!(sample.part == "payload" && sample.what.contains("did you mean `storm`"), "{sample:?}");
        let body = Wish { payload: Some("{\"alerts\":\n 5}".to_owned()), ..wish(BotKind::Feishu, "") };
        let body = mistake(&body);
        assert_eq!((body.part.as_str(), body.line, body.column), ("payload", 2, 2), "{body:?}");
    }

    #[test]
    fn a_template_that_fails_says_where_and_the_alert_is_drawn_all_the_same() {
        let painted = paint(&typed("body", "first line\n{{time name}}"));
        assert!(painted.messages.is_empty() && painted.mistakes[0].hint.contains("every message"), "{painted:?}");
        let painted = paint(&typed("body", "first line\n{{#if single}}{{time name}}{{/if}}"));
        assert_eq!((painted.mistakes[0].line, painted.messages.len()), (2, 1), "{painted:?}");
        let message = &painted.messages[0];
        assert!(message.failure.starts_with("body, line 2, column "), "{}", message.failure);
        assert!(message.body.contains("DiskAlmostFull") && message.cut.contains("plain text"), "{message:?}");
    }

    #[test]
    fn a_typed_body_is_told_as_of_now_and_calls_when_it_shall() {
        let payload =
            r#"{"alerts":[{"status":"firing","labels":{"alertname":"Typed"},"startsAt":"2026-11-20T02:00:00Z"}]}"#;
        let asked = Wish { payload: Some(payload.to_owned()), ..wish(BotKind::WeCom, "ignored") };
        let body = &paint(&asked).messages[0].body;
        assert!(body.contains("Typed") && body.contains("5m") && !body.contains("<@ZhangSan>"), "{body}");
        let body = &paint(&Wish { mention: true, ..asked }).messages[0].body;
        assert!(body.contains("<@ZhangSan>"), "{body}");
    }

    #[test]
    fn much_is_cut_and_said_so() {
        let message = &paint(&wish(BotKind::WeCom, "many")).messages[0];
        assert!(message.cut.contains("of 50 alerts in full"), "{}", message.cut);
        assert_eq!(message.named + message.counted, 50);
        assert_eq!(paint(&wish(BotKind::Feishu, "one")).messages[0].cut, "");
    }
}
