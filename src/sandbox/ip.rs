//! Address rules as the vendors write them: `1.2.3.4`, `1.2.3.0/24`, `1.2.3.*`. IPv4 only.

use std::net::{IpAddr, Ipv4Addr};

/// Network and mask.
fn parse(rule: &str) -> Option<(u32, u32)> {
    if let Some((addr, bits)) = rule.split_once('/') {
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        return Some((u32::from(addr.parse::<Ipv4Addr>().ok()?) & mask, mask));
    }
    if let Some(head) = rule.strip_suffix(".*") {
        let addr: Ipv4Addr = format!("{head}.0").parse().ok()?;
        return Some((u32::from(addr), 0xffff_ff00));
    }
    Some((u32::from(rule.parse::<Ipv4Addr>().ok()?), u32::MAX))
}

/// Whether the text is a rule.
pub(super) fn is_rule(rule: &str) -> bool {
    parse(rule).is_some()
}

/// Whether the caller may call; no rules allow everybody.
pub(super) fn allowed(rules: &[String], ip: IpAddr) -> bool {
    if rules.is_empty() {
        return true;
    }
    let addr = match ip.to_canonical() {
        IpAddr::V4(v4) => u32::from(v4),
        IpAddr::V6(_) => return false,
    };
    rules.iter().filter_map(|rule| parse(rule)).any(|(net, mask)| addr & mask == net)
}
