//! When the next message may go to a robot: token buckets and backoff. Pure.
//!
//! The vendors count in any window, so a token comes back on its own, a whole window after the attempt that took it has
//! ended: a bucket that refills evenly lets nearly twice the limit through.

mod backoff;
mod bucket;

#[cfg(test)]
mod tests;

pub use backoff::backoff;
pub use bucket::Bucket;
