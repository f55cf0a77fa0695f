//! The connector of simulated gateways: it answers, and does nothing.

use std::sync::Arc;

use portcullis_gateway::connector::{Connector, Context};
use portcullis_gateway::connectors::{Configured, Connectors};
use portcullis_gateway::guard::GuardRails;
use portcullis_gateway::model::{CallError, GuardDefaults, ObjectClass, Roles, Schema, Verb};
use tonic::async_trait;

/// Its name on every simulated gateway.
pub const ECHO: &str = "echo";

#[derive(Debug)]
struct Echo;

#[async_trait]
impl Connector for Echo {
    fn kind(&self) -> &'static str {
        ECHO
    }

    fn verbs(&self, _: ObjectClass) -> Vec<Verb> {
        Vec::new()
    }

    fn roles(&self) -> Roles<'_> {
        Roles::NONE
    }

    async fn test(&self, _: &Context) -> Result<String, CallError> {
        Ok("the echo answers".to_owned())
    }

    async fn schema(&self, _: &Context) -> Result<Schema, CallError> {
        Ok(Schema {
            classes: Vec::new(),
            actions: Vec::new(),
            settings: Vec::new(),
        })
    }
}

/// The echo alone.
pub(super) fn connectors() -> Connectors {
    let configured = Configured {
        connector: Arc::new(Echo),
        guard_rails: Arc::new(GuardRails::defaults(ECHO, &GuardDefaults::NOTHING)),
    };
    Connectors::default().with(ECHO, configured)
}
