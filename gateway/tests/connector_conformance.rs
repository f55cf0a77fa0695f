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
#[path = "connector_conformance/syncs.rs"]
mod syncs;
#[path = "connector_conformance/verbs.rs"]
mod verbs;
#[path = "connector_conformance/witness.rs"]
mod witness;

/// The tests that a type of connector has to pass, in the module with its `site`.
macro_rules! conforms {
    ($site:ident: $($test:ident is $check:path,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $check($site).await;
            }
        )*
    };
    ($site:ident) => {
        conforms!($site:
            says_what_it_has is crate::verbs::says_what_it_has,
            carries_out_each_verb_that_it_names is crate::verbs::carries_out_each_verb_that_it_names,
            carries_an_account_through_its_life is crate::verbs::carries_an_account_through_its_life,
            carries_a_group_through_its_life is crate::verbs::carries_a_group_through_its_life,
            tells_failures_apart is crate::verbs::tells_failures_apart,
            searches_page_by_page is crate::verbs::searches_page_by_page,
            syncs_what_has_changed is crate::syncs::syncs_what_has_changed,
            knows_its_own_tokens is crate::syncs::knows_its_own_tokens,
            runs_its_actions is crate::verbs::runs_its_actions,
            starts_and_stops_again_and_again is crate::verbs::starts_and_stops_again_and_again,
            lets_no_secret_out is crate::verbs::lets_no_secret_out,
            hold_for_what_names_a_group is crate::guard_rails::hold_for_what_names_a_group,
            hold_for_what_names_an_account is crate::guard_rails::hold_for_what_names_an_account,
            hold_for_numeric_ids is crate::guard_rails::hold_for_numeric_ids,
            protect_who_is_in_a_protected_group is crate::guard_rails::protect_who_is_in_a_protected_group,
            leave_what_is_computed_to_the_resource is crate::guard_rails::leave_what_is_computed_to_the_resource,
            changes_of_one_lane_never_overlap is crate::lanes::changes_of_one_lane_never_overlap,
            changes_of_different_lanes_do is crate::lanes::changes_of_different_lanes_do,
        );
    };
}

#[path = "../src/connector/active_directory/tests/conformance.rs"]
mod active_directory;
#[path = "../src/connector/ldap/tests/conformance.rs"]
mod ldap;
#[path = "../src/connector/script/tests/conformance.rs"]
mod script;
#[path = "../src/connector/sql/tests/conformance.rs"]
mod sql;
#[path = "../src/connector/unix/tests/conformance.rs"]
mod unix;
