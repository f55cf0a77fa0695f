//! Who may do what: decided here, once for every method, before any of them is reached.

use tonic::Status;

use super::identity::Caller;
use super::methods::{self, Method};

/// Why a request goes no further.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The method, where there is one of that name.
    pub(super) action: &'static str,
    pub(super) status: Status,
}

/// May `caller` call the method at `path` (`/portcullis.admin.v1.Gateways/Add`)? What is not in the table is refused to everybody.
pub(super) fn authorize(caller: &Caller, path: &str) -> Result<&'static Method, Refusal> {
    let subject = &caller.subject;
    let method = methods::find(path).ok_or_else(|| Refusal {
        action: "unknown method",
        status: Status::permission_denied(
            "this server has no such method: is `portcullis` of a newer version than the server?",
        ),
    })?;
    if method.who.meets(caller.held) {
        return Ok(method);
    }
    let name = method.name;
    let message = if caller.known {
        let held = if caller.held.iter().next().is_none() {
            "none".to_owned()
        } else {
            caller.held.to_string()
        };
        let one_of = if method.who.iter().count() > 1 {
            "one of the capabilities"
        } else {
            "the capability"
        };
        format!(
            "user {subject} may not call {name}: it needs {one_of} {}, and this user has {held}; [capabilities] of the server's configuration gives them",
            method.who
        )
    } else {
        "the system does not say which user this is: connect through the server's Unix socket"
            .to_owned()
    };
    Err(Refusal {
        action: name,
        status: Status::permission_denied(message),
    })
}
