//! One password tried, once: never so often that the target locks the account.

use tokio::time::timeout_at;

use super::guarded::Guarded;
use super::lanes::Key;
use crate::connector::{Context, Lane};
use crate::model::{
    CallError, Failure, FailureKind, Get, Lockout, LockoutLimit, LogIn, ObjectRef, Selector, Verb,
};

impl Guarded {
    /// Tries a password. Where the call does not ask to be told apart, an answer that never came is
    /// as if the target could not be reached.
    pub(super) async fn log_in(&self, cx: &Context, log_in: LogIn) -> Result<(), CallError> {
        let tells_apart = log_in.tells_apart;
        match self.tried(cx, log_in).await {
            Err(CallError::Indeterminate(message)) if !tells_apart => {
                Err(Failure::unavailable(message).into())
            }
            tried => tried,
        }
    }

    async fn tried(&self, cx: &Context, log_in: LogIn) -> Result<(), CallError> {
        let LogIn {
            object,
            password,
            tells_apart,
        } = log_in;
        let connector = &self.configured.connector;
        let lockout = self.lockout(cx, &object).await?;
        let key = match &lockout {
            Lockout::Account { key, .. } => key.clone(),
            Lockout::NoAccount if tells_apart => return Err(no_account(&object)),
            Lockout::NotTold if tells_apart && !self.is_there(cx, &object).await? => {
                return Err(no_account(&object));
            }
            // It is tried all the same: an account that there is not takes as long.
            Lockout::NoAccount => return connector.authenticate(cx, object, password).await,
            Lockout::NotTold => format!("{} {}", self.name, own_key(&object)),
        };
        // One after the other: what the target counts is then what was tried.
        let lane = Lane::Shared(format!("log-in {key}"));
        let lane = Key::new(connector.kind(), &self.name, lane);
        let entering = self.lanes.enter([lane].into());
        let _entered = timeout_at(cx.deadline, entering).await.map_err(|_| {
            let message = "earlier tries of this account took all the time that the call may take";
            Failure::new(FailureKind::Busy, message)
        })?;
        let limits = self.limits(cx, &object, &key, lockout).await?;
        let mut begun: Vec<&str> = Vec::new();
        for (key, limit) in &limits {
            if let Err(refused) = self.tries.begin(key, limit) {
                begun.iter().for_each(|key| self.tries.take_back(key));
                return Err(refused.into());
            }
            begun.push(key.as_str());
        }
        let tried = connector.authenticate(cx, object, password).await;
        for key in begun {
            match &tried {
                Ok(()) => self.tries.right(key),
                Err(CallError::Failed(failure)) if !may_count(failure.kind) => {
                    self.tries.take_back(key);
                }
                Err(_) => {}
            }
        }
        tried
    }

    /// The target's limit, as it now stands, and the gateway's own.
    async fn limits(
        &self,
        cx: &Context,
        object: &ObjectRef,
        key: &str,
        before: Lockout,
    ) -> Result<Vec<(String, LockoutLimit)>, CallError> {
        let mut limits = Vec::new();
        if matches!(before, Lockout::Account { limit: Some(_), .. })
            && let Lockout::Account {
                limit: Some(limit), ..
            } = self.lockout(cx, object).await?
        {
            let kind = self.configured.connector.kind();
            limits.push((format!("{kind} {key}"), limit));
        }
        if let Some(limit) = self.configured.guard_rails.wrong_passwords() {
            limits.push((format!("own {} {key}", self.name), limit));
        }
        Ok(limits)
    }

    async fn lockout(&self, cx: &Context, object: &ObjectRef) -> Result<Lockout, CallError> {
        let lockout = self.configured.connector.lockout(cx, object).await;
        lockout.map_err(nothing_sent)
    }

    /// Whether there is such an account, as far as the connector can read.
    async fn is_there(&self, cx: &Context, object: &ObjectRef) -> Result<bool, CallError> {
        let connector = &self.configured.connector;
        if !connector.verbs(object.class).contains(&Verb::Get) {
            return Ok(true);
        }
        let get = Get {
            object: object.clone(),
            attributes: Vec::new(),
        };
        match connector.get(cx, &get).await {
            Ok(_) => Ok(true),
            Err(CallError::Failed(failure)) if failure.is_not_found() => Ok(false),
            Err(error) => Err(nothing_sent(error)),
        }
    }
}

/// What was only read, whatever came of it: no password has left.
fn nothing_sent(error: CallError) -> CallError {
    match error {
        CallError::Indeterminate(message) => Failure::unavailable(message).into(),
        failed => failed,
    }
}

fn no_account(object: &ObjectRef) -> CallError {
    Failure::not_found(format!("there is no {object}: no password was tried")).into()
}

/// Whether the target may have counted a wrong password.
fn may_count(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::BadCredentials | FailureKind::AccountLocked
    )
}

/// An account as a call names it.
fn own_key(object: &ObjectRef) -> String {
    match &object.by {
        Selector::Id(id) => format!("id {id}"),
        Selector::Name(name) => format!("name {}", name.as_str().to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use portcullis_proto::gateway::v1 as wire;

    use crate::config::Config;
    use crate::connectors::Connectors;
    use crate::model::{FailureKind, Outcome};
    use crate::worker::Provisioner;

    /// What comes of a test by a resource that has the gateway log in as this. Nobody listens where
    /// the directory is to be.
    async fn tested(provisioner: &Provisioner, bind_dn: &str) -> FailureKind {
        let call = wire::Call {
            call_id: "1".to_owned(),
            connector: "directory".to_owned(),
            verb: Some(wire::call::Verb::Test(wire::Test {})),
            settings: [("bind_dn".to_owned(), bind_dn.to_owned())].into(),
            secret_settings: vec![wire::SecretSetting {
                name: "bind_password".to_owned(),
                value: Some(wire::Secret::plain(b"guess".to_vec())),
            }],
            ..wire::Call::default()
        };
        match provisioner.execute(call).await {
            Outcome::Failed(failure) => failure.kind,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn no_server_has_a_gateway_log_in_as_a_protected_account() {
        for (own, kind) in [
            ("", FailureKind::Refused),
            ("bind_dn = \"cn=other,dc=x\"", FailureKind::Refused),
            // Who has the gateway's configuration says so.
            ("bind_dn = \"cn=ADMIN , dc=x\"", FailureKind::Unavailable),
        ] {
            let text = format!(
                "[connectors.directory]\ntype = \"ldap\"\nservers = [\"ldaps://127.0.15.1:1\"]\n{own}\n\
                 certificate_sha256 = [\"{}\"]\naccounts.base = \"ou=people,dc=x\"\n\
                 guard_rails.protected_accounts = [\"admin*\"]\nguard_rails.compare_names = \"case-insensitive\"\n",
                "00".repeat(32)
            );
            let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
            let connectors = Connectors::from_config(&config.connectors).unwrap();
            let provisioner = Provisioner::new(&connectors, 4, Duration::from_secs(60));
            assert_eq!(tested(&provisioner, "cn=admin,dc=x").await, kind, "{own}");
            for (bind_dn, kind) in [
                ("cn=gateway,dc=x", FailureKind::Unavailable),
                ("uid=Administrator,ou=y,dc=x", FailureKind::Refused),
                ("cn=x+cn=\\61dmin,dc=x", FailureKind::Refused),
                ("admin@example.com", FailureKind::Refused),
                ("EXAMPLE\\admin", FailureKind::Refused),
                ("S-1-5-21-1-2-3-500", FailureKind::Invalid),
            ] {
                assert_eq!(tested(&provisioner, bind_dn).await, kind, "{bind_dn}");
            }
        }
    }
}
