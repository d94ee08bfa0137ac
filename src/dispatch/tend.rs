//! What is done every few seconds besides sending: tidying up, catching up, reporting.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Dispatcher;
use crate::store::{Retention, StoreError};
use crate::waiting::Options;

/// How often the store and the queues are tidied up.
const TEND: Duration = Duration::from_secs(10);
/// Superseded rows that are deleted at once outside an outcome.
const GARBAGE: usize = 500;
/// Told states are looked through for old ones this often, counted in rounds of [`TEND`].
const FORGET_EVERY: u32 = 30;
/// Finished attempts are of use to pacing for the longest window that a config allows, twice.
const ATTEMPTS_KEPT: Duration = Duration::from_secs(2 * 86_400 + 3_600);

impl Dispatcher {
    /// Tidies up until it is told to stop: rows of superseded states, old history, told states out of memory; and reports
    /// alarmbell's own troubles.
    pub async fn tend(&self, stop: CancellationToken) {
        let mut round = 0_u32;
        loop {
            if let Err(error) = self.tend_once(round.is_multiple_of(FORGET_EVERY)).await {
                tracing::warn!(%error, "clean-up waits for the store");
            }
            round = round.wrapping_add(1);
            let until = self.shared.clock.mono() + TEND;
            loop {
                if let Err(error) = self.report().await {
                    tracing::warn!(%error, "a report waits for the store");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.reports.changed.notified() => {}
                    () = self.shared.clock.sleep_until(until) => break,
                }
            }
        }
    }

    async fn tend_once(&self, forget: bool) -> Result<(), StoreError> {
        let now_ms = self.shared.clock.now_ms();
        for bot in self.shared.all_bots() {
            loop {
                let garbage = bot.queue().take_garbage_for(&[], GARBAGE);
                if garbage.is_empty() {
                    break;
                }
                match self.shared.store.superseded(bot.name.clone(), garbage.clone()).await {
                    Ok(()) => {}
                    Err(StoreError::Fenced) => {
                        self.shared.fence(&bot.name);
                        break;
                    }
                    Err(error) => {
                        bot.queue().return_garbage(garbage);
                        return Err(error);
                    }
                }
            }
            if forget {
                bot.queue().forget(now_ms);
            }
        }
        self.remember_fallbacks().await?;
        self.rehome_all().await?;
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
        let retention = Retention {
            history_before_ms: now_ms - ms(self.retention),
            resolved_before_ms: now_ms - ms(Options::default().resolved_memory),
            attempts_before_ms: now_ms - ms(ATTEMPTS_KEPT),
        };
        // All replicas may, but one is enough.
        let cleans = self.shared.membership.as_ref().is_none_or(|membership| membership.heard().is_first());
        while cleans && self.shared.store.clean(retention).await? {
            tokio::task::yield_now().await;
        }
        self.shared.store.size().await?;
        self.count().await
    }

    /// Tells the store who falls back to whom, unless it knows.
    pub(super) async fn remember_fallbacks(&self) -> Result<(), StoreError> {
        // A reload must not be overtaken by what was true before it.
        let _turn = self.running.lock().await;
        if !self.fallbacks_owed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let settings = self.shared.settings.load_full();
        let fallbacks = settings.bots.values().map(|bot| (bot.name.clone(), bot.fallback.clone())).collect();
        self.shared.store.remember_fallbacks(fallbacks).await?;
        self.fallbacks_owed.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Dead letters were changed from outside: counts them anew.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn count_dead_letters(&self) -> Result<(), StoreError> {
        self.count().await?;
        self.reports.changed.notify_one();
        Ok(())
    }

    pub(super) async fn count(&self) -> Result<(), StoreError> {
        // Those that die meanwhile may be counted twice until the next time, and are not missed.
        let died: Vec<_> =
            self.shared.all_bots().iter().map(|bot| (bot.name.clone(), bot.queue().terms().dead)).collect();
        let counts = self.shared.store.dead_letter_counts().await?;
        let mut letters = self.shared.dead_letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.clear();
        letters.extend(died.into_iter().map(|(bot, died)| (bot, (0, died))));
        for (bot, kept) in counts {
            letters.entry(bot).or_default().0 = kept;
        }
        Ok(())
    }
}
