//! Who may do what: decided here, once for every method, before any of them is reached.

use tonic::Status;

use super::methods::{self, Method};
use crate::access::Caller;
use crate::config::{Capability, CapabilitySet};

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The method, where there is one of that name.
    pub(crate) action: &'static str,
    /// In a few words, for the logs.
    pub(crate) reason: String,
    /// For the caller.
    pub(crate) status: Status,
}

/// May `caller` call the method at `path` (`/portcullis.admin.v1.Gateways/Add`)? What is not in the table is refused to everybody.
pub(crate) fn authorize(caller: &Caller, path: &str) -> Result<&'static Method, Refusal> {
    let subject = &caller.subject;
    let method = methods::find(path).ok_or_else(|| Refusal {
        action: "unknown method",
        reason: String::new(),
        status: Status::permission_denied(
            "this server has no such method: is `portcullis` of a newer version than the server?",
        ),
    })?;
    if method.who.meets(caller.held) {
        return Ok(method);
    }
    let held = match caller.held.iter().next() {
        None => "nothing".to_owned(),
        Some(_) => caller.held.to_string(),
    };
    let message = if caller.known {
        let one_of = match method.who.iter().nth(1) {
            None => "the capability",
            Some(_) => "one of the capabilities",
        };
        format!(
            "user {subject} may not call {}: it needs {one_of} {}, and this user has {held}; [capabilities] of the server's configuration gives them",
            method.name, method.who
        )
    } else {
        "the system does not say which user this is: connect through the server's Unix socket"
            .to_owned()
    };
    Err(Refusal {
        action: method.name,
        reason: format!("needs {}; has {held}", method.who),
        status: Status::permission_denied(message),
    })
}

/// May `caller`, who may call `method`, have it use the password of a user? Whoever may put anybody's password on an account
/// of their choice can guess it there.
pub(crate) fn authorize_password_of_user(
    caller: &Caller,
    method: &'static str,
) -> Result<(), Refusal> {
    let wanted = Capability::Administrator;
    if CapabilitySet::of(&[wanted]).meets(caller.held) {
        return Ok(());
    }
    let subject = &caller.subject;
    Err(Refusal {
        action: method,
        reason: format!(
            "the password of a user needs {wanted}, too; has {}",
            caller.held
        ),
        status: Status::permission_denied(format!(
            "user {subject} may not give an account the password of a user: that needs the capability {wanted}, too, and this user has {}; give another password, or have an administrator do it",
            caller.held
        )),
    })
}
