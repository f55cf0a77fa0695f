//! What the log says of a change whose caller goes away, and of one that breaks within.

use std::time::Duration;

use super::*;
use crate::admin::context::Context;
use crate::admin::request::{About, change};
use crate::config::Capability::Administrator;

/// A change that takes a moment, then does what it says.
struct Slow {
    breaks: bool,
}

impl Request for Slow {
    type Answer = proto::RemoveUserResponse;

    const METHOD: Method = change("Tests/Slow", &[Administrator]);

    fn about(&self) -> About {
        About::server("slow")
    }

    async fn run(self, context: &Context) -> Result<Self::Answer, AdminError> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!self.breaks, "as it was told");
        context.note.add("carried out");
        Ok(proto::RemoveUserResponse {})
    }
}

impl Server {
    /// The last entry, once it says what came of [`Slow`].
    async fn outcome_of_slow(&self) -> (String, String) {
        for _ in 0..200 {
            let last = self.last_entry().await;
            if last.action == "Tests/Slow" && last.outcome != "begun" {
                return (last.outcome, last.detail);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no outcome was written");
    }
}

#[tokio::test]
async fn a_change_goes_on_and_its_outcome_is_written_where_its_caller_goes_away() {
    let server = Server::start().await;
    let caller = owner();
    let asked = server.ask(&caller, Slow { breaks: false });
    let gone = tokio::time::timeout(Duration::from_millis(25), asked).await;
    assert!(gone.is_err(), "it was to be left half way");
    let (outcome, detail) = server.outcome_of_slow().await;
    assert_eq!((&*outcome, &*detail), ("done", "carried out"));
}

#[tokio::test]
async fn of_a_change_that_breaks_within_nobody_says_that_it_was_not_made() {
    let server = Server::start().await;
    let broken = server.ask(&owner(), Slow { breaks: true }).await;
    assert!(matches!(broken, Err(AdminError::Internal(_))));
    let (outcome, _) = server.outcome_of_slow().await;
    assert_eq!(outcome, "unknown");
    // And the server goes on.
    server.ask(&owner(), Slow { breaks: false }).await.unwrap();
    assert_eq!(server.outcome_of_slow().await.0, "done");
}
