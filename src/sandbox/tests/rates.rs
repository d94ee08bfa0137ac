//! Limits hold in any window; every call counts.

use std::time::Duration;

use proptest::prelude::*;

use super::super::rules::{RateLimit, Rules, Switches};
use super::super::window::Limiter;
use super::{Rig, text};
use crate::model::BotKind::{DingTalk, Feishu, WeCom};

/// How many of `count` calls `gap` ms apart are refused.
async fn refused(rig: &Rig, kind: crate::model::BotKind, count: usize, gap: u64) -> usize {
    let mut refused = 0;
    for _ in 0..count {
        refused += usize::from(rig.send(kind, &text(kind, "x")).await.code() != 0);
        rig.advance_ms(gap);
    }
    refused
}

#[tokio::test]
async fn dingtalk_counts_any_minute_and_closes_for_ten() {
    let rig = Rig::new();
    rig.set(DingTalk, Rules::default());
    // 20 in the last second of a minute, then one in the first second of the next.
    rig.advance_ms(59_000);
    assert_eq!(refused(&rig, DingTalk, 20, 40).await, 0);
    rig.advance_ms(1_000);
    let reply = rig.send(DingTalk, &text(DingTalk, "x")).await;
    assert_eq!(reply.code(), 660_026);
    assert!(reply.body.contains("sending too many messages per minute"));
    rig.advance_ms(599_999);
    assert_eq!(rig.send(DingTalk, &text(DingTalk, "x")).await.code(), 660_026, "the penalty lasts ten minutes");
    rig.advance_ms(1);
    assert_eq!(rig.send(DingTalk, &text(DingTalk, "x")).await.code(), 0);
    assert_eq!(rig.stats(DingTalk).windows[0].max, 21);
}

#[tokio::test]
async fn a_bucket_that_refills_is_caught() {
    // The wrong client: 20 at once, then one every 3 s.
    let rig = Rig::new();
    rig.set(WeCom, Rules::default());
    assert_eq!(refused(&rig, WeCom, 20, 0).await, 0);
    rig.advance_ms(3_000);
    let reply = rig.send(WeCom, &text(WeCom, "x")).await;
    assert_eq!(reply.code(), 45_009);
    assert_eq!(reply.headers["error-code"], "45009");
    assert!(reply.headers["error-msg"].to_str().unwrap().starts_with("api freq out of limit, hint: ["));
    // The refused call counts too: at 60 s the 20 have left, and it is the only one.
    rig.advance_ms(57_000);
    assert_eq!(refused(&rig, WeCom, 19, 0).await, 0);
    assert_eq!(refused(&rig, WeCom, 1, 0).await, 1);
}

#[tokio::test]
async fn wecom_hint_changes_with_every_refusal() {
    let rig = Rig::quick();
    let (first, second) = (rig.send(WeCom, "{}").await.body, rig.send(WeCom, "{}").await.body);
    assert_ne!(first, second);
}

#[tokio::test]
async fn feishu_has_two_limits() {
    let rig = Rig::new();
    rig.set(Feishu, Rules::default());
    assert_eq!(refused(&rig, Feishu, 6, 100).await, 1, "5 in a second");
    rig.advance_ms(60_000);
    assert_eq!(refused(&rig, Feishu, 101, 250).await, 1, "100 in a minute, at 4 a second");
    let reply = rig.last(Feishu);
    assert_eq!((reply.code, reply.step), (11_232, 3));
    let switches = Switches { rate_is_9499: true, ..Switches::default() };
    rig.set(Feishu, Rules { switches, ..Rules::default() });
    refused(&rig, Feishu, 5, 0).await;
    let reply = rig.send(Feishu, &text(Feishu, "x")).await;
    assert_eq!((reply.status, reply.code()), (400, 9_499));
    assert!(reply.body.contains("too many request"));
}

#[tokio::test]
async fn every_call_counts_and_switches_change_that() {
    let limit = vec![RateLimit { messages: 2, per_ms: 1_000 }];
    for (count_refused, code) in [(true, 45_009), (false, 0)] {
        let rig = Rig::new();
        let switches = Switches { count_refused, ..Switches::default() };
        rig.set(WeCom, Rules { rate_limits: Some(limit.clone()), switches, ..Rules::default() });
        // Two, then a refused one at 900 ms, one more at 1,000 ms, one at 1,100 ms.
        refused(&rig, WeCom, 2, 0).await;
        rig.advance_ms(900);
        assert_eq!(refused(&rig, WeCom, 1, 100).await, 1);
        assert_eq!(refused(&rig, WeCom, 1, 100).await, 0);
        assert_eq!(rig.send(WeCom, &text(WeCom, "x")).await.code(), code);
    }
    // Malformed bodies count as well.
    let rig = Rig::new();
    rig.set(WeCom, Rules { rate_limits: Some(limit), ..Rules::default() });
    rig.send(WeCom, "{").await;
    rig.send(WeCom, "{").await;
    assert_eq!(rig.send(WeCom, &text(WeCom, "x")).await.code(), 45_009);
}

#[tokio::test]
async fn unknown_dingtalk_tokens_are_counted_before_they_are_refused() {
    let rig = Rig::new();
    let path = "/robot/send?access_token=test";
    for _ in 0..20 {
        assert_eq!(rig.call("POST", path, super::JSON, "{}").await.code(), 300_005);
    }
    assert_eq!(rig.call("POST", path, super::JSON, "{}").await.code(), 660_026);
}

#[tokio::test]
async fn a_fixed_minute_can_be_had() {
    let rig = Rig::new();
    let switches = Switches { fixed_windows: true, ..Switches::default() };
    rig.set(WeCom, Rules { switches, ..Rules::default() });
    rig.advance_ms(59_000);
    assert_eq!(refused(&rig, WeCom, 20, 0).await, 0);
    rig.advance_ms(1_000);
    assert_eq!(rig.send(WeCom, &text(WeCom, "x")).await.code(), 0);
}

proptest! {
    /// Against a count over the whole history: accepted if and only if fewer than L calls lie in the window before.
    #[test]
    fn the_window_agrees_with_a_recount(gaps in proptest::collection::vec(0u64..50, 1..200), most in 1u32..8, per in 1u64..200) {
        let mut limiter = Limiter::new(vec![RateLimit { messages: most, per_ms: per }], 0, false, true);
        let mut calls: Vec<u64> = Vec::new();
        let mut now = 0;
        let mut fullest = 0;
        for gap in gaps {
            now += gap;
            let before = calls.iter().filter(|at| now - **at < per).count();
            fullest = fullest.max(before + 1);
            prop_assert_eq!(limiter.call(Duration::from_millis(now)).is_ok(), before < most as usize);
            calls.push(now);
        }
        prop_assert_eq!(limiter.stats()[0].max, fullest);
    }
}
