//! Label sets and the fingerprint that identifies an alert.

use std::collections::BTreeMap;
use std::fmt;

/// A label or annotation set, sorted by name as Alertmanager sorts it.
pub type Labels = BTreeMap<String, String>;

/// The identity of an alert: Alertmanager's FNV-1a 64 over its sorted labels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a 64 over several byte strings, each followed by the separator 0xFF.
///
/// The separator and the order are those of `prometheus/common`'s `LabelSet.Fingerprint`
/// (name, 0xFF, value, 0xFF), verified on recorded Alertmanager payloads.
pub fn fnv1a<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = OFFSET;
    for part in parts {
        for byte in part.iter().chain(std::iter::once(&0xff)) {
            hash ^= u64::from(*byte);
            hash = hash.wrapping_mul(PRIME);
        }
    }
    hash
}

impl Fingerprint {
    /// Computes the fingerprint of a label set.
    pub fn of(labels: &Labels) -> Self {
        Self(fnv1a(labels.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])))
    }

    /// Reads the 16 hexadecimal digits that Alertmanager writes; `None` for any other form.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not 16 hexadecimal digits"))
    }
}
