//! `render --watch`: again after every change.

use std::io::{self, Write};
use std::pin::Pin;
use std::time::Duration;

use super::ask::Ask;
use super::{failed, written};
use crate::config::{self, Watched};

/// How often files are looked at: their contents, which follow links and know no clock that was set back.
const LOOK: Duration = Duration::from_millis(300);
/// Puts a terminal's cursor on its first line, and clears it with what was scrolled away.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Renders, and again whenever `changed` says yes about what was read and its fingerprint; ends when it says no, or when
/// nobody reads any more. Mistakes are written, and waited to be mended.
pub(super) fn watch(
    ask: &Ask<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    clear: bool,
    mut changed: impl FnMut(&Watched, &str) -> bool,
) {
    loop {
        let (watched, look) = ask.look();
        // Before anything is shown: what is changed in answer to that must be noticed.
        let seen = config::fingerprint(&watched);
        let (text, mistakes) = match look {
            Ok(look) => (written(&look, ask.args.output), failed(&look)),
            Err(failure) => (String::new(), failure.text),
        };
        if show(out, err, clear, &text, &mistakes).is_err() || !changed(&watched, &seen) {
            return;
        }
    }
}

/// Results to one stream, mistakes and what is done next to the other.
fn show(out: &mut dyn Write, err: &mut dyn Write, clear: bool, text: &str, mistakes: &str) -> io::Result<()> {
    if clear {
        out.write_all(CLEAR.as_bytes())?;
    }
    out.write_all(text.as_bytes())?;
    out.flush()?;
    write!(err, "{mistakes}\nwatching for changes; Ctrl-C ends\n")?;
    err.flush()
}

/// Waits until something of what was watched is another than it was, or until `stop` completes: then false.
pub(super) async fn changed<S: Future<Output = ()>>(watched: &Watched, seen: &str, stop: &mut Pin<Box<S>>) -> bool {
    loop {
        tokio::select! {
            () = &mut *stop => return false,
            () = tokio::time::sleep(LOOK) => {}
        }
        let files = watched.clone();
        let now = tokio::task::spawn_blocking(move || config::fingerprint(&files)).await;
        if now.is_ok_and(|now| now != seen) {
            return true;
        }
    }
}
