//! Which alert versions a message tells, as the row of an open message keeps them.

use crate::model::{Fingerprint, How};

/// 17 bytes an entry: position, fingerprint (both little endian), how.
pub(in crate::store) fn write(covers: &[(i64, Fingerprint, How)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(covers.len() * 17);
    for (pos, fingerprint, how) in covers {
        out.extend_from_slice(&pos.to_le_bytes());
        out.extend_from_slice(&fingerprint.0.to_le_bytes());
        out.push(u8::from(*how == How::Counted));
    }
    out
}

/// Reads [`write`].
pub(in crate::store) fn read(bytes: &[u8]) -> Vec<(i64, Fingerprint, How)> {
    let (entries, _) = bytes.as_chunks::<17>();
    let number = |entry: &[u8; 17], at: usize| {
        entry[at..at + 8].iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))
    };
    let how = |code| if code == 0 { How::Named } else { How::Counted };
    entries
        .iter()
        .map(|entry| (number(entry, 0).cast_signed(), Fingerprint(number(entry, 8)), how(entry[16])))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn covers_survive() {
        let covers = [
            (1, Fingerprint(0), How::Named),
            (i64::MAX, Fingerprint(u64::MAX), How::Counted),
            (0x0102_0304_0506_0708, Fingerprint(0x1122_3344_5566_7788), How::Named),
        ];
        assert_eq!(read(&write(&covers)), covers);
    }
}
