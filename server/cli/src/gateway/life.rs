//! `portcullis gateway remove|rename`

use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{RemoveGatewayRequest, RenameGatewayRequest};
use serde_json::json;

use crate::call_view::cancelled;
use crate::context::Context;
use crate::error::CliError;
use crate::view::printable;

pub(super) async fn remove(context: &Context, name: String, force: bool) -> Result<(), CliError> {
    let mut gateways = context.client(GatewaysClient::new).await?;
    let request = RemoveGatewayRequest {
        name: name.clone(),
        force,
    };
    let removed = gateways.remove(request).await?.into_inner();
    let mut sentence = format!("gateway {} is removed", printable(&name));
    if !removed.resources.is_empty() {
        let resources = removed.resources.join(", ");
        sentence.push_str(&format!(", and with it {}", printable(&resources)));
    }
    let calls = cancelled(removed.cancelled_calls, &removed.cancelled_call_ids);
    if let Some(calls) = calls {
        sentence.push_str(&format!("; {calls}"));
    }
    context.say(
        &sentence,
        &json!({
            "gateway": name,
            "removed": true,
            "resources": removed.resources,
            "cancelled_calls": removed.cancelled_calls,
            "cancelled_call_ids": removed.cancelled_call_ids,
        }),
    )
}

pub(super) async fn rename(
    context: &Context,
    name: String,
    new_name: String,
) -> Result<(), CliError> {
    let mut gateways = context.client(GatewaysClient::new).await?;
    let request = RenameGatewayRequest {
        name: name.clone(),
        new_name,
    };
    let renamed = gateways.rename(request).await?.into_inner();
    context.print(&renamed)?;
    if renamed.address.is_empty() {
        context.note(&format!(
            "its host goes by its key, not by its name; where its configuration says dial_out.name = \"{}\", change that before it pairs again",
            printable(&name)
        ));
    }
    Ok(())
}
