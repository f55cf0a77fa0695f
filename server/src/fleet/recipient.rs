//! Whom a call is for.

use portcullis_common::id::GatewayId;

use super::CallError;
use super::link::Link;

/// The gateway that a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    name: String,
    /// `None`: whichever is registered under the name.
    id: Option<GatewayId>,
}

impl Recipient {
    /// One registration of a gateway alone. What holds secrets that are bound to a registration
    /// goes there and nowhere else, whoever bears the name by the time it is sent.
    pub fn registration(name: &str, id: GatewayId) -> Self {
        Self {
            name: name.to_owned(),
            id: Some(id),
        }
    }

    /// The gateway's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registration, where it is for one alone.
    pub const fn id(&self) -> Option<GatewayId> {
        self.id
    }

    /// # Errors
    /// [`CallError::OtherRegistration`] where the link is to another gateway.
    pub(super) fn check(&self, link: &Link) -> Result<(), CallError> {
        match self.id {
            Some(id) if id != link.gateway_id() => Err(CallError::OtherRegistration {
                gateway: self.name.clone(),
            }),
            _ => Ok(()),
        }
    }
}

impl From<&str> for Recipient {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: None,
        }
    }
}
