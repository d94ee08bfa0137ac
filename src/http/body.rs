//! Reading bodies within a size, a share of the memory, and a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use super::error::{ErrorKind, HttpError};

/// What is reserved at once, at most; more as it arrives. So a large `Content-Length` alone holds no memory.
const STEP: u64 = 256 * 1024;

/// Bounds of request bodies. Clones share one budget.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Bytes of one body; larger ones are refused with 413.
    pub per_body: u64,
    /// Bytes of all bodies in flight, from their arrival until their [`Permit`] is dropped; what does not fit is
    /// refused with 503. A body larger than this is refused with 413, since it never fits.
    pub in_flight: u64,
    /// The longest time without any progress; then 408.
    pub stall_timeout: Duration,
    /// The longest time for a whole body, so that one byte now and then does not hold memory for hours; then 408.
    pub total_timeout: Duration,
    used: Arc<AtomicU64>,
}

impl BodyLimits {
    /// Limits in bytes with a budget of their own, 30 s without progress and 2 minutes in all.
    pub fn new(per_body: u64, in_flight: u64) -> Self {
        Self {
            per_body,
            in_flight,
            stall_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(120),
            used: Arc::default(),
        }
    }

    /// Other limits on the same budget: bodies that are in flight at a reload go on counting.
    #[must_use]
    pub fn resized(&self, per_body: u64, in_flight: u64) -> Self {
        Self { per_body, in_flight, ..self.clone() }
    }

    /// Bytes in flight now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn too_large(&self) -> HttpError {
        let most = self.per_body.min(self.in_flight);
        let message = format!("the body is larger than {most} bytes (limits.body)");
        HttpError::new(ErrorKind::TooLarge, message).closing()
    }
}

/// A share of the budget; keep it as long as the body's bytes.
#[derive(Debug)]
pub struct Permit {
    bytes: u64,
    used: Arc<AtomicU64>,
}

impl Permit {
    fn grow(&mut self, to: u64, limits: &BodyLimits) -> Result<(), HttpError> {
        let more = to.saturating_sub(self.bytes);
        let fits = |used: u64| used.checked_add(more).filter(|sum| *sum <= limits.in_flight);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => {
                self.bytes += more;
                Ok(())
            }
            Err(_) => Err(full()),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn full() -> HttpError {
    HttpError::new(ErrorKind::Unavailable, "too many bodies are in flight (limits.bodies_in_flight); try again")
        .closing()
}

/// Reads a request's body.
///
/// # Errors
/// 413 too large (by its `Content-Length` before any of it is read, else while reading), 503 no room now, 408 too slow,
/// 415 compressed, 400 cut short. All of them end the connection, since the rest of the body is still on its way.
pub async fn read_body(request: Request, limits: &BodyLimits) -> Result<(Bytes, Permit), HttpError> {
    let (parts, body) = request.into_parts();
    refuse_compressed(&parts.headers)?;
    let mut permit = Permit { bytes: 0, used: Arc::clone(&limits.used) };
    let most = limits.per_body.min(limits.in_flight);
    // Known from Content-Length; hyper holds the sender to it.
    let length = body.size_hint().exact();
    if let Some(length) = length {
        if length > most {
            return Err(limits.too_large());
        }
        if length > limits.in_flight.saturating_sub(limits.used()) {
            return Err(full());
        }
    }
    let mut bytes = Vec::new();
    let mut body = body;
    let deadline = Instant::now() + limits.total_timeout;
    loop {
        let wait = limits.stall_timeout.min(deadline.saturating_duration_since(Instant::now()));
        let frame = match timeout(wait, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(HttpError::new(ErrorKind::BadData, "the body was cut short").closing()),
            Err(_) => return Err(HttpError::new(ErrorKind::Timeout, "the body came too slowly").closing()),
        };
        let Ok(data) = frame.into_data() else { continue };
        let need = (bytes.len() + data.len()) as u64;
        if need > most {
            return Err(limits.too_large());
        }
        if need > permit.bytes {
            let ahead = (permit.bytes * 2).max(STEP).min(length.unwrap_or(most));
            permit.grow(need.max(ahead), limits)?;
            bytes.reserve_exact(usize::try_from(permit.bytes).unwrap_or(usize::MAX) - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok((Bytes::from(bytes), permit))
}

fn refuse_compressed(headers: &HeaderMap) -> Result<(), HttpError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            let message = "bodies must not be compressed (Content-Encoding)";
            Err(HttpError::new(ErrorKind::UnsupportedMedia, message).closing())
        }
        _ => Ok(()),
    }
}
