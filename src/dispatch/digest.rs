//! Composing a digest: everything untold at once, read and counted in small parts.

use super::ladder::Stage;
use super::letter::{
    Composed, Content, DIGEST, Desk, Letter, dialect, history_text, joined_via, started_and_ended, told_alert,
};
use super::sources::sources;
use crate::model::{Change, How, Kind, Mentions, MessageId, Status, via_names};
use crate::render::{self, DigestScene, SceneAlert, Tally};
use crate::store::StoreError;
use crate::waiting::Item;

/// The most alerts in one digest: what its page can show, and what is read before its first byte leaves. What waits
/// beyond leaves with the next token.
pub(super) const MOST: usize = 20_000;
/// Alerts that are picked, read and kept at once.
pub(super) const PART: usize = 1_000;
/// Alerts that may be named.
const LEADING: usize = 100;

/// Most urgent first: firing before ended before unchanged, then by severity and age.
pub(super) fn sort(items: &mut [Item]) {
    items.sort_by_key(|item| {
        let state = match item.change {
            Change::New | Change::Refired => 0,
            Change::Resolved | Change::FiredResolved => 1,
            Change::Unchanged => 2,
        };
        (state, item.head.severity, item.since_ms, item.head.pos)
    });
}

impl Desk<'_> {
    /// Composes the digest of these items, in the order of [`sort`]. All but the first are kept in the store part by
    /// part on the way, so that memory holds one part at a time.
    pub(super) async fn digest(
        &self,
        mut items: Vec<Item>,
        id: MessageId,
        uuid: &MessageId,
        stage: Stage,
    ) -> Result<Composed, StoreError> {
        let mut tally = Tally::default();
        let first = LEADING.min(items.len());
        let (leading, others) = items.split_at_mut(first);
        // The alerts of a large body follow each other, so that it is read once.
        others.sort_by_key(|item| (item.head.body, item.head.idx));
        let found = sources(self.store, leading).await?;
        let shown: Vec<SceneAlert> =
            leading.iter().zip(&found).map(|(item, source)| self.scene_alert(item, source)).collect();
        shown.iter().for_each(|alert| tally.add(alert));
        let mut parts = 0;
        for part in others.chunks(PART) {
            let mut alerts = Vec::with_capacity(part.len());
            for (item, source) in part.iter().zip(sources(self.store, part).await?) {
                let alert = self.scene_alert(item, &source);
                tally.add(&alert);
                alerts.push(told_alert(&alert, &item.head, How::Counted));
            }
            self.store.keep_alerts(&id, parts, alerts).await?;
            parts += 1;
        }
        let via = joined_via(&found);
        let (mentions, calls) = if stage.quiet {
            (Mentions::default(), Vec::new())
        } else {
            // Only new critical ones call anybody: a digest is read by everybody anyway.
            let critical: Vec<SceneAlert> = shown.iter().filter(|alert| is_critical(alert)).cloned().collect();
            self.mentions(&via, &critical)
        };
        let storm = self.bot.desk().storm.after(true, tally.firing(), tally.resolved(), self.clock.now_ms());
        let scene = DigestScene {
            bot: self.config.name.to_string(),
            lang: self.config.lang,
            tz: self.config.timezone.clone(),
            now: self.clock.now(),
            tally,
            leading: shown,
            since_ms: items.iter().map(|item| item.since_ms).min().unwrap_or(0),
            storm,
            policies: via_names(&via).map(str::to_owned).collect(),
            mentions,
            template: self.config.template.clone(),
            keywords: self.config.keywords.clone(),
            keyword_mode: self.config.keyword_mode,
            list_url: self.settings.list_url(&id),
            link_rewrites: std::sync::Arc::clone(&self.settings.link_rewrites),
            form: stage.form,
        };
        let dialect = dialect(self.config);
        let rendered = render::render_digest(&self.settings.templates, dialect.as_ref(), &scene);
        let how = |at: usize| rendered.how.get(at).copied().unwrap_or(How::Counted);
        let alerts = scene.leading.iter().zip(&items).enumerate();
        let alerts = alerts.map(|(at, (alert, item))| told_alert(alert, &item.head, how(at))).collect();
        let letter = Letter {
            kind: Kind::Digest,
            group: DIGEST,
            body: dialect.encode(&rendered.draft, uuid.as_str()).into(),
            text: history_text(&rendered.draft),
            alerts,
            calls,
            stage,
            sources: Vec::new(),
            parts,
            news: started_and_ended(&items),
            content: Content::Alerts(items.into_iter().enumerate().map(|(at, item)| (item, how(at))).collect()),
            id,
        };
        Ok((letter, rendered.failure))
    }
}

/// Whether it calls somebody in a digest.
pub(super) fn is_critical(alert: &SceneAlert) -> bool {
    alert.rank == 0 && alert.alert.status == Status::Firing
}
