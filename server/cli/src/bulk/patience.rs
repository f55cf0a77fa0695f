//! What a gateway or a resource answers with `busy` was not begun: it is sent again, under the same
//! id, once there may be room.

use std::time::Duration;

use portcullis_proto::gateway::v1::FailureKind;
use portcullis_proto::gateway::v1::call::Verb;
use rand::RngExt;
use tokio::time::{Instant, sleep};

use crate::call::{Answer, CallArgs, Caller};
use crate::error::CliError;

/// How long there may be no room.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first wait, and the longest.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Makes a call as one of many; where there is no room for it, again.
///
/// # Errors
/// As [`Caller::execute`]; `busy` where there was no room for all the time.
pub(crate) async fn patiently(
    caller: &mut Caller,
    verb: Verb,
    args: &CallArgs,
) -> Result<Answer, CliError> {
    let until = Instant::now() + PATIENCE;
    let mut wait = SHORTEST;
    loop {
        let made = caller.execute(verb.clone(), args).await;
        let is_busy = matches!(
            made,
            Err(CliError::CallFailed {
                kind: FailureKind::Busy,
                ..
            })
        );
        // All that found no room at the same moment are not to come again at the same moment.
        let pause = wait.mul_f64(rand::rng().random_range(0.5..1.0));
        if !is_busy || Instant::now() + pause >= until {
            return made;
        }
        sleep(pause).await;
        wait = (wait * 2).min(LONGEST);
    }
}
