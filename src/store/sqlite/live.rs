//! Which bodies are needed: how many heads refer to each, and how long it is.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// One body's references. `refs` 0 means that nobody needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Need {
    pub(super) refs: u32,
    /// Bytes.
    pub(super) len: u32,
}

const SPAN: i64 = 32;

/// A sparse array over body ids, in blocks: 8 bytes a body while they are dense, at most 300 when they are scattered.
#[derive(Debug, Default)]
pub(super) struct Live {
    blocks: HashMap<i64, Box<Block>, BuildHasherDefault<Spread>>,
}

/// Hashes our own counted-up ids, which nobody can choose: one multiplication instead of a keyed hash.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte));
        }
    }

    fn write_i64(&mut self, id: i64) {
        // 2^64 divided by the golden ratio spreads neighbours over all bits; the map uses the upper and the lower ones.
        self.0 = (self.0 ^ id.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

#[derive(Debug, Default)]
struct Block {
    used: u32,
    needs: [Need; SPAN as usize],
}

/// Block and place inside it.
fn place(id: i64) -> (i64, usize) {
    // The remainder of a division by SPAN is below SPAN.
    (id.div_euclid(SPAN), usize::try_from(id.rem_euclid(SPAN)).unwrap_or_default())
}

impl Live {
    pub(super) fn get(&self, id: i64) -> Need {
        let (block, at) = place(id);
        self.blocks.get(&block).map_or_else(Need::default, |block| block.needs[at])
    }

    pub(super) fn set(&mut self, id: i64, need: Need) {
        let (key, at) = place(id);
        let block = self.blocks.entry(key).or_default();
        match (block.needs[at].refs, need.refs) {
            (0, 1..) => block.used += 1,
            (1.., 0) => block.used -= 1,
            _ => {}
        }
        block.needs[at] = need;
        if block.used == 0 {
            self.blocks.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn blocks_go_when_their_last_body_goes() {
        let mut live = Live::default();
        for id in [1, 31, 32, 33, 1 << 40] {
            live.set(id, Need { refs: 2, len: 7 });
        }
        assert_eq!(live.blocks.len(), 3);
        assert_eq!(live.get(33), Need { refs: 2, len: 7 });
        assert_eq!(live.get(34), Need::default());
        for id in [1, 31, 32, 33, 1 << 40] {
            live.set(id, Need { refs: 1, len: 7 });
            live.set(id, Need::default());
        }
        assert!(live.blocks.is_empty());
        live.set(5, Need::default());
        assert!(live.blocks.is_empty());
    }
}
