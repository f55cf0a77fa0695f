//! One suite for every type of connector: each is a line here, and a `site` in its own folder to be
//! tried on.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

#[path = "connector_conformance/guard_rails.rs"]
mod guard_rails;
#[path = "connector_conformance/lanes.rs"]
mod lanes;
#[path = "connector_conformance/site.rs"]
mod site;
#[path = "connector_conformance/verbs.rs"]
mod verbs;
#[path = "connector_conformance/witness.rs"]
mod witness;

/// The tests that a type of connector has to pass, in the module with its `site`.
macro_rules! conforms {
    ($site:ident: $($module:ident::$test:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::$module::$test($site).await;
            }
        )*
    };
    ($site:ident) => {
        conforms!($site:
            verbs::says_what_it_has,
            verbs::carries_an_account_through_its_life,
            verbs::carries_a_group_through_its_life,
            verbs::tells_failures_apart,
            verbs::searches_page_by_page,
            verbs::runs_its_actions,
            verbs::starts_and_stops_again_and_again,
            verbs::lets_no_secret_out,
            guard_rails::hold_for_what_names_a_group,
            guard_rails::hold_for_what_names_an_account,
            guard_rails::hold_for_numeric_ids,
            guard_rails::protect_who_is_in_a_protected_group,
            guard_rails::leave_what_is_computed_to_the_resource,
            lanes::changes_of_one_lane_never_overlap,
            lanes::changes_of_different_lanes_do,
        );
    };
}

#[path = "../src/connector/script/tests/conformance.rs"]
mod script;
#[path = "../src/connector/unix/tests/conformance.rs"]
mod unix;
