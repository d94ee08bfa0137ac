//! Severity levels: how a label's value becomes an urgency.

/// The configured levels, most urgent first, with the other names each is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Severities {
    /// The label that carries the severity.
    pub label: String,
    /// Level name and its aliases, most urgent first. At most 255 levels.
    pub levels: Vec<(String, Vec<String>)>,
    /// Index of the level that an unknown or missing value counts as.
    pub unknown: u8,
}

impl Default for Severities {
    fn default() -> Self {
        let level = |name: &str, aliases: &[&str]| (name.to_owned(), aliases.iter().map(|a| (*a).to_owned()).collect());
        Self {
            label: "severity".to_owned(),
            levels: vec![
                level("critical", &["page", "emergency", "disaster", "fatal", "p0", "紧急", "严重"]),
                level("error", &["major", "high", "p1"]),
                level("warning", &["warn", "average", "p2", "警告"]),
                level("info", &["p3", "p4", "提示"]),
                level("none", &[]),
            ],
            unknown: 2,
        }
    }
}

impl Severities {
    /// Index of the level that `value` names (level or alias, without case); the unknown level otherwise.
    pub fn rank(&self, value: &str) -> u8 {
        self.find(value).unwrap_or(self.unknown)
    }

    /// Index of the level that `value` names, if any does.
    pub fn find(&self, value: &str) -> Option<u8> {
        let value = value.trim().to_lowercase();
        self.levels
            .iter()
            .position(|(name, aliases)| {
                name.to_lowercase() == value || aliases.iter().any(|alias| alias.to_lowercase() == value)
            })
            .and_then(|at| u8::try_from(at).ok())
    }

    /// The level's name; `"unknown"` for a rank that the present config no longer has.
    pub fn name(&self, rank: u8) -> &str {
        self.levels.get(usize::from(rank)).map_or("unknown", |(name, _)| name.as_str())
    }
}
