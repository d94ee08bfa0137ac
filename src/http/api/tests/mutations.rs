//! A webhook that was damaged on its way, in any form: taken or refused, never a defect of ours.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// What is put in the place of a value.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "firing",
            "resolved",
            "",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999-23:59"
        ])
        .prop_map(Value::from),
        Just(Value::from("long ".repeat(2_000))),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key =
            prop_oneof![Just("alerts".to_owned()), Just("status".to_owned()), Just("labels".to_owned()), "\\PC{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, Value),
    Remove(Index),
    /// Of the bytes, once they are written: cut off, or one overwritten.
    Cut(Index),
    Byte(Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => (any::<Index>(), value()).prop_map(|(at, value)| Damage::Replace(at, value)),
        3 => any::<Index>().prop_map(Damage::Remove),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
    ]
}

/// Where every value is, as JSON pointers; the whole first.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{n}"), into);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                places(item, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        _ => {}
    }
}

fn damaged(mut json: Value, all: &[Damage]) -> Vec<u8> {
    for one in all {
        let mut known = Vec::new();
        places(&json, "", &mut known);
        match one {
            Damage::Replace(at, value) => *json.pointer_mut(at.get::<String>(&known)).unwrap() = value.clone(),
            Damage::Remove(at) => {
                let (parent, last) = at.get::<String>(&known).rsplit_once('/').unwrap_or_default();
                let last = last.replace("~1", "/").replace("~0", "~");
                match json.pointer_mut(parent) {
                    Some(Value::Object(map)) => drop(map.remove(&last)),
                    Some(Value::Array(items)) => drop(last.parse().ok().map(|n: usize| items.remove(n))),
                    _ => {}
                }
            }
            Damage::Cut(_) | Damage::Byte(..) => {}
        }
    }
    let mut bytes = serde_json::to_vec(&json).unwrap();
    for one in all {
        match one {
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Damage::Byte(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            _ => {}
        }
    }
    bytes
}

#[test]
fn damaged_bodies_are_taken_or_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rig = runtime.block_on(Rig::start());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/payloads/");
    let read =
        |name: &str| serde_json::from_slice::<Value>(&std::fs::read(format!("{folder}{name}")).unwrap()).unwrap();
    let bodies: Vec<Value> =
        ["group3_one_resolved.body", "handmade_grafana_v1.body", "am0331_event_recorder_notification.body"]
            .map(read)
            .to_vec();
    let case = (
        prop::sample::select(bodies),
        prop::collection::vec(damage(), 1..4),
        prop::sample::select(vec!["/api/v1/webhook", "/api/v1/webhook/night", "/dingtalk/nobody/send"]),
        any::<bool>(),
    );
    let (taken, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let outcome = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() }).run(
        &case,
        |(json, all, path, put)| {
            let method = if put { Method::PUT } else { Method::POST };
            let body = damaged(json, &all);
            let answer = runtime.block_on(rig.call(method, path, body.clone()));
            let shown = String::from_utf8_lossy(&body);
            prop_assert!(
                answer.status.is_success() || answer.status.is_client_error(),
                "{} for {}: {}",
                answer.status,
                shown,
                answer.body
            );
            let said: Value = serde_json::from_str(&answer.body)
                .map_err(|error| TestCaseError::fail(format!("{error} in the answer {}", answer.body)))?;
            let count = if answer.status.is_success() { &taken } else { &refused };
            prop_assert_eq!(&said["status"], if answer.status.is_success() { "success" } else { "error" });
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        },
    );
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // Else it would only show that everything is refused, or nothing.
    let (taken, refused) = (taken.into_inner(), refused.into_inner());
    assert!(taken > 20 && refused > 20, "{taken} taken, {refused} refused");
}
