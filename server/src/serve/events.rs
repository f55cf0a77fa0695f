//! What happens by itself in the fleet, into the audit log.

use tokio::sync::mpsc;

use crate::audit::{AuditLog, Draft, Outcome, Subject};
use crate::fleet::Event;
use crate::repository::AuditFields;

/// Writes down each of `events`, until their fleet is gone.
pub(super) async fn record(mut events: mpsc::Receiver<Event>, audit: AuditLog) {
    while let Some(event) = events.recv().await {
        audit.record(draft(event)).await;
    }
}

fn draft(event: Event) -> Draft {
    match event {
        Event::Alarm { gateway, text } => of_gateway("Gateway/Alarm", &gateway, &text),
        Event::Enrolled {
            gateway,
            id,
            remote,
            host,
        } => {
            let host = match host.as_str() {
                "" => String::new(),
                host => format!(", host {host}"),
            };
            let detail = format!("{id}, from {remote}{host}");
            of_gateway("Gateway/Enrolled", &gateway, &detail)
        }
        Event::Pushed { key, text } => {
            let object = format!("gateway key {key}");
            Draft::new(
                Subject::server(),
                "GatewayKey/Pushed",
                &object,
                Outcome::Done,
            )
            .detail(&text)
        }
    }
}

fn of_gateway(action: &str, gateway: &str, detail: &str) -> Draft {
    let object = format!("gateway {gateway}");
    Draft::new(Subject::server(), action, &object, Outcome::Done)
        .about(AuditFields::gateway(gateway))
        .detail(detail)
}
