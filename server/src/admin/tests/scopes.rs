//! What a permission with a scope opens, and what it leaves shut.

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Call, Test};

use super::*;
use crate::admin::calls::{Execute, Search, Sync};
use crate::admin::queue::Enqueue;
use crate::config::Capability::{Administrator, Operator};

fn call(resource: &str, call_id: &str) -> proto::ExecuteRequest {
    proto::ExecuteRequest {
        resource: resource.to_owned(),
        call: Some(Call {
            call_id: call_id.to_owned(),
            verb: Some(Verb::Test(Test {})),
            ..Call::default()
        }),
        ..Default::default()
    }
}

fn execute(resource: &str) -> Execute {
    Execute::from_message(call(resource, "c1"))
}

fn show_gateway(name: &str) -> proto::ShowGatewayRequest {
    let name = name.to_owned();
    proto::ShowGatewayRequest { name }
}

fn show_resource(name: &str) -> proto::ShowResourceRequest {
    let name = name.to_owned();
    proto::ShowResourceRequest { name }
}

impl Server {
    /// `request` is refused, for want of a permission on `target`, and the audit log has it.
    async fn refuses<R: Request>(&self, caller: &Caller, request: R, target: &str) {
        let name = R::METHOD.name;
        let Err(AdminError::Refused(message)) = self.ask(caller, request).await else {
            panic!("{name} was not refused");
        };
        let [Permission { capability, scope }] = &*caller.permissions else {
            panic!("more than one permission");
        };
        let held = format!("this user has {capability} on {scope}");
        for part in ["user ada may not call", name, target, &held] {
            assert!(message.contains(part), "{message}");
        }
        let entry = self.last_entry().await;
        assert_eq!((&*entry.subject, &*entry.action), ("ada", name));
        assert_eq!(entry.outcome, "refused");
        let reason = format!(" on {target}; has {capability} on {scope}");
        assert!(entry.detail.ends_with(&reason), "{}", entry.detail);
    }
}

#[tokio::test]
async fn an_operator_of_one_resource_calls_that_one_and_no_other() {
    let server = Server::start().await;
    let ada = ada(Operator, Scope::Resource("a".to_owned()));
    server.ask(&ada, execute("a")).await.unwrap();
    let search = |resource| Search::from_message(call(resource, ""));
    assert!(server.ask(&ada, search("a")).await.is_ok());
    let sync = |resource| Sync::from_message(call(resource, ""));
    assert!(server.ask(&ada, sync("a")).await.is_ok());
    let enqueue = |resource, id| Enqueue::from_message(call(resource, id));
    server.ask(&ada, enqueue("a", "q1")).await.unwrap();
    server.ask(&owner(), enqueue("b", "q2")).await.unwrap();

    server.refuses(&ada, execute("b"), "resource b").await;
    server.refuses(&ada, search("b"), "resource b").await;
    server.refuses(&ada, sync("b"), "resource b").await;
    server.refuses(&ada, enqueue("b", "q3"), "resource b").await;
    server
        .refuses(&ada, execute("nowhere"), "resource nowhere")
        .await;
    // A queued call is as open as its resource, and the list of all is of the whole server.
    let show = |id: &str| proto::ShowQueuedRequest {
        call_id: id.to_owned(),
    };
    server.ask(&ada, show("q1")).await.unwrap();
    server.refuses(&ada, show("q2"), "call q2").await;
    server.refuses(&ada, show("q4"), "call q4").await;
    let cancel = proto::CancelQueuedRequest {
        call_id: "q2".to_owned(),
    };
    server.refuses(&ada, cancel, "call q2").await;
    let all = proto::ListQueuedRequest::default();
    server.refuses(&ada, all, "the whole server").await;
    // The server's status is for whoever holds anything.
    let status = server.ask(&ada, proto::StatusRequest {}).await.unwrap();
    assert_eq!(status.capabilities, ["operator"]);
}

#[tokio::test]
async fn an_administrator_of_one_gateway_has_its_resources_and_no_others() {
    let server = Server::start().await;
    let ada = ada(Administrator, Scope::Gateway("web1".to_owned()));
    server.ask(&ada, show_gateway("web1")).await.unwrap();
    server.ask(&ada, show_resource("a")).await.unwrap();
    server
        .refuses(&ada, show_gateway("db1"), "gateway db1")
        .await;
    server.refuses(&ada, show_resource("b"), "resource b").await;

    let add = |gateway: &str| proto::AddResourceRequest {
        name: "c".to_owned(),
        gateway: gateway.to_owned(),
        connector: "unix".to_owned(),
        ..Default::default()
    };
    server.refuses(&ada, add("db1"), "gateway db1").await;
    server.ask(&ada, add("web1")).await.unwrap();
    // Neither given to another gateway, nor taken from it.
    let set = |name: &str, gateway: &str| proto::SetResourceRequest {
        name: name.to_owned(),
        gateway: Some(gateway.to_owned()),
        ..Default::default()
    };
    server.refuses(&ada, set("a", "db1"), "gateway db1").await;
    server.refuses(&ada, set("b", "web1"), "resource b").await;
    let all = proto::ListGatewaysRequest::default();
    server.refuses(&ada, all, "the whole server").await;
}

#[tokio::test]
async fn an_administrator_of_one_resource_does_not_choose_what_it_reaches() {
    let server = Server::start().await;
    let set = |connector: Option<&str>, settings: &[(&str, &str)]| proto::SetResourceRequest {
        name: "a".to_owned(),
        connector: connector.map(str::to_owned),
        settings: settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Default::default()
    };
    let of_resource = ada(Administrator, Scope::Resource("a".to_owned()));
    let settings = set(None, &[("shell", "/bin/sh")]);
    server.ask(&of_resource, settings).await.unwrap();
    let own = "the gateway of resource a";
    server
        .refuses(&of_resource, set(Some("other"), &[]), own)
        .await;
    for scope in [
        Scope::Gateway("web1".to_owned()),
        Scope::GatewayGroup("web".to_owned()),
    ] {
        let of_gateway = ada(Administrator, scope);
        server
            .ask(&of_gateway, set(Some("other"), &[]))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_administrator_of_a_group_has_its_gateways_and_gives_none_away() {
    let server = Server::start().await;
    let ada = ada(Administrator, Scope::GatewayGroup("web".to_owned()));
    server.ask(&ada, show_gateway("web1")).await.unwrap();
    server.ask(&ada, show_resource("a")).await.unwrap();
    server
        .refuses(&ada, show_gateway("db1"), "gateway db1")
        .await;
    server.refuses(&ada, show_resource("b"), "resource b").await;

    let add = |name: &str, group: &str| proto::SetGatewayRequest {
        name: name.to_owned(),
        add_groups: vec![group.to_owned()],
        ..Default::default()
    };
    let other = "the gateways of group other";
    server.refuses(&ada, add("web1", "other"), other).await;
    server.refuses(&ada, add("db1", "web"), "gateway db1").await;
    let remove = proto::SetGatewayRequest {
        name: "web1".to_owned(),
        remove_groups: vec!["web".to_owned()],
        ..Default::default()
    };
    server.ask(&ada, remove).await.unwrap();
    server
        .refuses(&ada, show_gateway("web1"), "gateway web1")
        .await;
}

#[tokio::test]
async fn a_scope_adds_no_capability_and_users_belong_to_no_scope() {
    let server = Server::start().await;
    let operator = ada(Operator, Scope::Resource("a".to_owned()));
    let remove = proto::RemoveResourceRequest {
        name: "a".to_owned(),
    };
    let refused = server.ask(&operator, remove).await.unwrap_err();
    let missing = "needs the capability administrator, and this user has operator";
    assert!(refused.to_string().contains(missing), "{refused}");

    let mut both = ada(Administrator, Scope::Resource("a".to_owned()));
    let add = proto::AddUserRequest {
        name: "eve".to_owned(),
    };
    server.refuses(&both, add, "the whole server").await;
    both.permissions.extend(operator.permissions);
    let password = proto::ExecuteRequest {
        password_from_user: "eve".to_owned(),
        ..call("a", "c2")
    };
    let refused = server.ask(&both, Execute::from_message(password)).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("the password of a user"), "{refused}");
    assert_eq!(server.last_entry().await.outcome, "refused");
}
