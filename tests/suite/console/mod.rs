//! The console in a real browser, on a real controller with simulated partitions. Each story is a script below
//! `tests/console/stories`; what it asks for is done here.

mod furnish;
mod newcomer;
mod stage;

use muster_tests::browser::Script;
use muster_tests::sandbox::Controller;
use serde_json::json;
use stage::{PASSWORD, Stage, USER_PASSWORD};
use std::time::Duration;

/// For one script: the longest one looks at a hundred pages, some seconds each on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

/// What every script is told.
fn given(controller: &Controller) -> serde_json::Value {
    json!({ "url": controller.url, "password": PASSWORD, "user_password": USER_PASSWORD })
}

/// Tells a story on a stage of so many partitions.
fn tell(story: &str, partitions: usize) {
    let mut stage = Stage::new(story, partitions);
    let script = Script::start(&format!("stories/{story}.mjs"), &given(&stage.controller));
    script.run(LIMIT, |asked| stage.act(asked));
}

#[test]
fn the_first_run_sets_a_password_and_enrols_a_partition_with_the_shown_command() {
    let mut stage = Stage::untouched("first-run");
    let mut told = given(&stage.controller);
    told["initial_password"] = stage.controller.admin_password().into();
    let script = Script::start("stories/first-run.mjs", &told);
    script.run(LIMIT, |asked| stage.act(asked));
}

#[test]
fn an_injected_event_is_seen_and_an_agent_that_stops_is_shown_with_the_reason() {
    tell("events", 2);
}

#[test]
fn a_policy_is_edited_previewed_published_and_reverted_over_an_expired_session() {
    tell("policy", 2);
}

#[test]
fn a_rollout_that_halts_says_why() {
    tell("rollout", 3);
}

#[test]
fn who_waits_is_let_in_or_turned_away_and_four_eyes_need_another_person() {
    tell("approvals", 1);
}

#[test]
fn a_page_goes_live_again_after_the_controller_was_away() {
    tell("restart", 1);
}

#[test]
fn two_who_edit_one_draft_lose_nothing() {
    tell("conflict", 1);
}

#[test]
fn the_fleet_is_searched_sorted_grouped_changed_at_once_and_exported() {
    tell("fleet", 3);
}

#[test]
fn what_is_done_to_a_partition_stands_in_a_log_that_is_whole() {
    tell("partition", 2);
}

#[test]
fn a_package_is_uploaded_and_retired_and_a_rollout_obeys_a_person() {
    tell("package", 2);
}

#[test]
fn a_viewer_can_change_nothing() {
    tell("viewer", 1);
}

#[test]
fn every_page_is_accessible_light_and_dark() {
    let mut stage = Stage::new("pages", 2);
    stage.furnish();
    let script = Script::start("stories/pages.mjs", &given(&stage.controller));
    script.run(LIMIT, |asked| stage.act(asked));
}
