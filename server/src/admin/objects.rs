//! What the requests that change something are about, for the audit log: names and ids, never a secret.

use portcullis_proto::admin::v1 as proto;
use prost::Message;

/// What a request is about.
pub(crate) trait Object: Message + Default {
    /// In a few words; empty: the server itself.
    fn object(&self) -> String;
}

/// What an encoded request is about; `None`: it does not decode.
pub(crate) fn object_of<Request: Object>(encoded: &[u8]) -> Option<String> {
    let request = Request::decode(encoded).ok()?;
    Some(request.object())
}

macro_rules! objects {
    ($($request:ident: |$it:ident| $object:expr;)*) => {
        $(impl Object for proto::$request {
            fn object(&self) -> String {
                let $it = self;
                $object
            }
        })*
    };
}

objects! {
    AddGatewayRequest: |it| format!("gateway {}{}{}", it.name, pairing(it.allow_pairing), groups(", into", &it.groups));
    NewTokenRequest: |it| format!("gateway {}{}", it.name, pairing(it.allow_pairing));
    SetGatewayRequest: |it| format!("gateway {}{}{}", it.name, groups(", into", &it.add_groups), groups(", out of", &it.remove_groups));
    EvictGatewayRequest: |it| format!("gateway {}", it.name);
    RevokeGatewayRequest: |it| format!("gateway {}", it.name);
    RestoreGatewayRequest: |it| format!("gateway {}", it.name);
    GenerateServerKeyRequest: |_it| "server key".to_owned();
    SetCurrentKeyRequest: |it| format!("server key {}", it.key_id);
    RotateGatewayRequest: |it| {
        let what = match (it.compromised, it.roll_back) {
            (true, _) => ", compromised",
            (false, true) => ", rolled back",
            (false, false) => "",
        };
        format!("gateway key{what}{}", pushed(it.push.as_ref()))
    };
    SyncGatewaysRequest: |it| format!("gateway key{}", pushed(it.push.as_ref()));
    ReEncryptRequest: |it| match it.dry_run {
        true => "values, dry run".to_owned(),
        false => "values".to_owned(),
    };
    VerifyRequest: |_it| "values".to_owned();
    ManageKeysRequest: |it| match it.dry_run {
        true => "keys, dry run".to_owned(),
        false => "keys".to_owned(),
    };
    CancelTaskRequest: |it| format!("task {}", it.id);
    ResumeTaskRequest: |it| format!("task {}", it.id);
    ProtectRequest: |it| match it.public_default {
        true => "server keys, by the public default key".to_owned(),
        false => "server keys, by a secret".to_owned(),
    };
    ExportKeysRequest: |it| {
        let which = match (it.key_ids.as_slice(), it.purpose.as_str()) {
            ([], "") => "all keys".to_owned(),
            ([], purpose) => format!("{purpose} keys"),
            (ids, _) => format!("keys {}", ids.join(", ")),
        };
        format!("{which}{}", if it.unprotected { ", unprotected" } else { "" })
    };
    ImportKeysRequest: |it| format!("keys{}", dry_run(it.dry_run));
    DeleteKeyRequest: |it| {
        let forced = if it.force { ", forced" } else { "" };
        format!("key {}{forced}{}", it.key_id, dry_run(it.dry_run))
    };
    AddResourceRequest: |it| format!("resource {} on gateway {}", it.name, it.gateway);
    SetResourceRequest: |it| format!("resource {}", it.name);
    RemoveResourceRequest: |it| format!("resource {}", it.name);
    ExecuteRequest: |it| format!(
        "resource {}{}, call {}",
        it.resource,
        password_of(&it.password_from_user),
        it.call.as_ref().map(|call| call.call_id.as_str()).unwrap_or_default()
    );
    CancelQueuedRequest: |it| format!("call {}", it.call_id);
    AddUserRequest: |it| format!("user {}", it.name);
    RemoveUserRequest: |it| format!("user {}", it.name);
    SetUserPasswordRequest: |it| format!("user {}", it.name);
    CheckUserPasswordRequest: |it| format!("user {}", it.name);
    SetAnswerRequest: |it| format!("user {}", it.name);
    CheckAnswerRequest: |it| format!("user {}", it.name);
    RemoveAnswerRequest: |it| format!("user {}", it.name);
    SetPolicyRequest: |_it| "password policy".to_owned();
    AddWordsRequest: |it| format!("dictionary, {} words", it.words.len());
    RemoveWordRequest: |_it| "dictionary, 1 word".to_owned();
    CheckPolicyRequest: |it| match (it.user.as_str(), it.account.as_str()) {
        ("", "") => "a password".to_owned(),
        (user, "") => format!("a password for user {user}"),
        (_, account) => format!("a password for account {account} of resource {}", it.resource),
    };
    ClearWordsRequest: |_it| "dictionary, all words".to_owned();
}

/// Whose password an account is given.
pub(crate) fn password_of(user: &str) -> String {
    match user {
        "" => String::new(),
        user => format!(", password of user {user}"),
    }
}

fn pushed(push: Option<&proto::PushOptions>) -> String {
    push.map_or_else(String::new, |push| groups(", to", &push.groups))
}

/// As they were sent: nobody has looked at them yet.
fn groups(how: &str, names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("{how} {}", names.join(" ")),
    }
}

fn dry_run(dry: bool) -> &'static str {
    if dry { ", dry run" } else { "" }
}

fn pairing(allowed: bool) -> &'static str {
    if allowed { ", with pairing" } else { "" }
}
