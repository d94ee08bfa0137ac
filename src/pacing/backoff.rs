//! How long to wait after failures.

use std::time::Duration;

/// Exponential with full jitter: uniformly from nothing to `base` doubled with each failure after the first, at most
/// `cap`. No wait without failures. `rand` is a random number in [0, 1); one outside counts as the nearest.
pub fn backoff(failures: u32, base: Duration, cap: Duration, rand: f64) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let factor = 1_u32.checked_shl(doublings.min(31)).unwrap_or(u32::MAX);
    let most = base.saturating_mul(factor).min(cap);
    let rand = if rand.is_nan() { 0.0 } else { rand.clamp(0.0, 1.0) };
    // Rounding may overshoot by a nanosecond, or out of range for the longest durations.
    Duration::try_from_secs_f64(most.as_secs_f64() * rand).unwrap_or(most).min(most)
}
