//! One battery for every engine of the store, and what is particular to each.
#![allow(clippy::unwrap_used, clippy::panic)]

mod accept;
mod attempts;
mod away;
mod cluster;
mod copy;
mod hands;
mod harness;
mod history;
mod letters;
mod migrate;
mod parts;
mod postgres;
mod private;
mod property;
#[path = "../support/proxy.rs"]
mod proxy;
mod retention;
mod rig;
#[path = "../support/postgres.rs"]
mod server;
mod sqlite;
mod takeover;

/// Runs tests on an engine, if this machine has it.
macro_rules! on {
    ($engine:expr => $($module:ident: $($test:ident)+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                if let Some(engine) = $engine {
                    crate::$module::$test(crate::harness::Harness::new(engine)).await;
                }
            })+
        })+
    };
}

/// Runs tests on every engine.
macro_rules! battery {
    ($($tests:tt)+) => {
        mod on_sqlite {
            on! { Some(crate::sqlite::Engine) => $($tests)+ }
        }
        mod on_postgres {
            on! { crate::postgres::Engine::of_this_machine() => $($tests)+ }
        }
    };
}

battery! {
    accept: positions_have_no_gaps_under_concurrent_appends the_feed_hears_once_and_in_order
        a_reopened_store_replays_the_same a_dropped_store_replays_what_was_answered the_backlog_is_bounded
        a_full_queue_says_so_at_once bodies_go_with_their_last_head bodies_come_in_the_order_asked
        a_closed_store_takes_nothing sizes_follow_what_waits;
    attempts: an_attempt_begins_and_ends others_attempts_are_told_first an_unended_attempt_is_open_after_a_restart
        an_unknown_outcome_keeps_its_message_open a_resend_keeps_text_and_alerts a_later_outcome_ends_earlier_attempts
        told_states_are_upserted heads_are_counted_once large_outcomes_come_in_steps robots_are_remembered
        a_notice_announces_dead_letters;
    history: messages_are_listed_newest_first messages_are_filtered search_ignores_case_and_knows_cjk
        messages_are_found_by_id deliveries_are_paged_over_all_states noted_ends_wait_for_nobody;
    letters: dead_letters_are_listed_counted_and_deleted a_dead_letter_is_replayed
        rehoming_moves_all_heads_in_steps rehoming_without_a_target_makes_dead_letters
        rehoming_ends_open_messages rehoming_to_itself_changes_nothing fallbacks_are_remembered;
    parts: parts_follow_a_messages_own_alerts a_slice_says_what_the_whole_tells
        another_rendering_takes_the_place_of_the_parts parts_go_with_their_message_in_steps
        parts_that_were_never_begun_go_after_an_hour
        a_message_with_too_many_alerts_says_how_many_are_left_out a_storm_is_remembered_with_the_outcome;
    takeover: alerts_are_handed_over_as_they_are a_full_backlog_does_not_refuse_a_takeover
        a_crash_between_steps_loses_nothing;
    retention: old_things_go_in_steps open_messages_stay what_waits_stays orphans_of_a_crash_are_swept;
    property: random_operations_keep_the_proof;
}
