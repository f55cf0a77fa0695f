//! Every method of the admin API: who may call it, and how it is audited.
//!
//! **To add a method** to `admin.proto`: add its line to [`METHODS`], or nobody may call it.
//! * [`read`]: it changes nothing, and leaves nothing in the audit log.
//! * [`change`]: it changes something. The router writes `begun` before the service sees the request and the outcome when it has answered;
//!   the service need do nothing, and runs to its end even where the caller goes away. Say in `objects.rs` what its request is about (names and ids,
//!   never a secret); the service may add more with [`Note`](super::note::Note). An answer that is a stream counts as
//!   done when the stream begins: a task that goes on by itself writes entries of its own, with [`AuditLog::begin`](crate::audit::AuditLog::begin).
//! * [`own`]: the service audits it itself, in another way than these two. A test of its own has to prove that.
//!
//! The tests walk this table and `admin.proto`, for every capability.

use portcullis_proto::admin::v1 as proto;

use super::objects::{Object, object_of};
use crate::config::Capability::{Administrator, Auditor, Operator, SecurityAdministrator};
use crate::config::{Capability, CapabilitySet};

/// What stands before a method's name in its path.
const PREFIX: &str = "/portcullis.admin.v1.";

/// Who may call a method, and how it is audited.
#[derive(Debug)]
pub(crate) struct Method {
    /// `Gateways/Add`
    pub(crate) name: &'static str,
    /// One of these is enough.
    pub(crate) who: CapabilitySet,
    pub(crate) plan: Plan,
}

/// How a method is audited.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// Not at all: it changes nothing.
    Read,
    /// By the router, with an entry before and one after; the function tells from the encoded request what it is about, or that it does not decode.
    Change(fn(&[u8]) -> Option<String>),
    /// By the service.
    Own,
}

/// All methods. Whoever has a capability sees the status; lists are for whoever works with what they hold.
pub(crate) const METHODS: &[Method] = &[
    read("System/Status", &Capability::ALL),
    change::<proto::AddGatewayRequest>("Gateways/Add", &[Administrator]),
    change::<proto::NewTokenRequest>("Gateways/NewToken", &[Administrator]),
    change::<proto::SetGatewayRequest>("Gateways/Set", &[Administrator]),
    read("Gateways/List", LOOK),
    read("Gateways/Show", LOOK),
    read("Gateways/Ping", &[SecurityAdministrator, Administrator]),
    change::<proto::EvictGatewayRequest>("Gateways/Evict", &[Administrator]),
    change::<proto::RevokeGatewayRequest>("Gateways/Revoke", &[Administrator]),
    change::<proto::RestoreGatewayRequest>("Gateways/Restore", &[Administrator]),
    read("Keys/List", LOOK),
    read("Keys/Status", LOOK),
    change::<proto::GenerateServerKeyRequest>("Keys/GenerateServer", &[SecurityAdministrator]),
    change::<proto::SetCurrentKeyRequest>("Keys/SetCurrent", &[SecurityAdministrator]),
    change::<proto::RotateGatewayRequest>("Keys/RotateGateway", &[SecurityAdministrator]),
    change::<proto::SyncGatewaysRequest>("Keys/SyncGateways", &[SecurityAdministrator]),
    change::<proto::SyncGatewaysRequest>("Keys/StartSync", &[SecurityAdministrator]),
    change::<proto::ReEncryptRequest>("Keys/ReEncrypt", &[SecurityAdministrator]),
    change::<proto::VerifyRequest>("Keys/Verify", &[SecurityAdministrator]),
    change::<proto::ManageKeysRequest>("Keys/Manage", &[SecurityAdministrator]),
    read("Tasks/List", LOOK),
    read("Tasks/Show", LOOK),
    read("Tasks/Watch", LOOK),
    change::<proto::CancelTaskRequest>("Tasks/Cancel", &[SecurityAdministrator]),
    change::<proto::ResumeTaskRequest>("Tasks/Resume", &[SecurityAdministrator]),
    change::<proto::ProtectRequest>("Keys/Protect", &[SecurityAdministrator]),
    change::<proto::ExportKeysRequest>("Keys/Export", &[SecurityAdministrator]),
    change::<proto::ImportKeysRequest>("Keys/Import", &[SecurityAdministrator]),
    change::<proto::DeleteKeyRequest>("Keys/Delete", &[SecurityAdministrator]),
    change::<proto::AddResourceRequest>("Resources/Add", &[Administrator]),
    change::<proto::SetResourceRequest>("Resources/Set", &[Administrator]),
    read("Resources/List", &[Administrator, Operator, Auditor]),
    read("Resources/Show", &[Administrator, Operator, Auditor]),
    change::<proto::RemoveResourceRequest>("Resources/Remove", &[Administrator]),
    read("Audit/List", &[SecurityAdministrator, Auditor]),
    read("Audit/Verify", &[SecurityAdministrator, Auditor]),
    read("Audit/VerifyExport", &[SecurityAdministrator, Auditor]),
    own("Audit/Export", &[SecurityAdministrator, Auditor]),
    own("Audit/Accept", &[SecurityAdministrator]),
    change::<proto::AddUserRequest>("Users/Add", &[Administrator]),
    read("Users/List", &[Administrator, Operator, Auditor]),
    read("Users/Show", &[Administrator, Operator, Auditor]),
    change::<proto::RemoveUserRequest>("Users/Remove", &[Administrator]),
    change::<proto::SetUserPasswordRequest>("Users/SetPassword", &[Administrator]),
    change::<proto::CheckUserPasswordRequest>("Users/CheckPassword", &[Administrator]),
    change::<proto::SetAnswerRequest>("Users/SetAnswer", &[Administrator]),
    change::<proto::CheckAnswerRequest>("Users/CheckAnswer", &[Administrator]),
    change::<proto::RemoveAnswerRequest>("Users/RemoveAnswer", &[Administrator]),
    read("Policy/Show", &Capability::ALL),
    change::<proto::SetPolicyRequest>("Policy/Set", &[Administrator]),
    change::<proto::AddWordsRequest>("Policy/AddWords", &[Administrator]),
    change::<proto::RemoveWordRequest>("Policy/RemoveWord", &[Administrator]),
    change::<proto::ClearWordsRequest>("Policy/ClearWords", &[Administrator]),
    change::<proto::CheckPolicyRequest>("Policy/Check", &[Administrator]),
    own("Calls/Execute", &[Operator]),
    own("Calls/Search", &[Operator]),
    change::<proto::ExecuteRequest>("Calls/Enqueue", &[Operator]),
    read("Calls/ListQueued", &[Operator]),
    read("Calls/ShowQueued", &[Operator]),
    change::<proto::CancelQueuedRequest>("Calls/CancelQueued", &[Operator]),
];

const LOOK: &[Capability] = &[SecurityAdministrator, Administrator, Auditor];

/// The method at a path, `/portcullis.admin.v1.Gateways/Add`; `None`: there is none.
pub(crate) fn find(path: &str) -> Option<&'static Method> {
    let name = path.strip_prefix(PREFIX)?;
    METHODS.iter().find(|method| method.name == name)
}

const fn read(name: &'static str, who: &[Capability]) -> Method {
    Method {
        name,
        who: CapabilitySet::of(who),
        plan: Plan::Read,
    }
}

const fn change<Request: Object>(name: &'static str, who: &[Capability]) -> Method {
    Method {
        name,
        who: CapabilitySet::of(who),
        plan: Plan::Change(object_of::<Request>),
    }
}

const fn own(name: &'static str, who: &[Capability]) -> Method {
    Method {
        name,
        who: CapabilitySet::of(who),
        plan: Plan::Own,
    }
}
