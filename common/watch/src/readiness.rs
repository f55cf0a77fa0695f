//! Whether a program can do its work, part by part.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One part of what a program needs for its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is, the same at each asking.
    pub name: &'static str,
    /// Whether it works.
    pub ready: bool,
    /// Why not, or what is amiss all the same, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// All parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether all of them work.
    pub ready: bool,
    /// Each of them.
    pub checks: Vec<Check>,
}

impl Readiness {
    /// Of these parts.
    pub fn of(checks: Vec<Check>) -> Self {
        Self {
            ready: checks.iter().all(|check| check.ready),
            checks,
        }
    }
}

impl Check {
    /// A part that works, or does not for this reason.
    pub fn new(name: &'static str, fault: Option<String>) -> Self {
        Self {
            name,
            ready: fault.is_none(),
            reason: fault,
        }
    }

    /// A part that works, though not as it should.
    pub fn amiss(name: &'static str, what: &str) -> Self {
        Self {
            name,
            ready: true,
            reason: Some(what.to_owned()),
        }
    }
}

/// Tries one part, for 5 s at most.
pub async fn check<E: fmt::Display>(
    name: &'static str,
    trying: impl Future<Output = Result<(), E>>,
) -> Check {
    let fault = match timeout(PATIENCE, trying).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    Check::new(name, fault)
}
