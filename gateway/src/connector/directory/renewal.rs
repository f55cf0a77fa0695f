//! The gateway's own password at a directory: given a new one, and found out which one it has.

use super::connector::{BIND_PASSWORD, Directory};
use super::dialect::Verdict;
use super::failures::{of_change, of_read};
use super::pool::Identity;
use crate::connector::Context;
use crate::model::{CallError, Done, Failure, FailureKind, Look, Rotation, Verb};

impl Directory {
    /// Gives the gateway's own entry a new password, in one request.
    pub(crate) async fn renew_password(
        &self,
        cx: &Context,
        rotation: &Rotation,
    ) -> Result<(), CallError> {
        let old = self.rotated(cx, &rotation.setting)?;
        let session = self.session(cx)?;
        let dn = self.dialect.own_dn(&session).await;
        let dn = dn.map_err(|error| self.read_error(&error))?;
        let (from, to) = (&session.identity.password, &rotation.password);
        let renewed = self.dialect.renew_password(&session, &dn, from, to).await;
        renewed.map_err(
            |error| match of_change(&*self.dialect, Verb::SetPassword, &error) {
                CallError::Failed(failure) if failure.kind == FailureKind::Denied => {
                    CallError::Failed(Failure {
                        message: format!(
                            "{}: give it the right to change its own password",
                            failure.message
                        ),
                        ..failure
                    })
                }
                other => other,
            },
        )?;
        self.renewed_password(&old, rotation);
        Ok(())
    }

    /// Which of the two passwords the directory takes: the new one is tried, and then the old one,
    /// once each, as far as they may be. Where the old one is right, that also ends the count of
    /// wrong ones.
    pub(crate) async fn look_at_renewal(
        &self,
        cx: &Context,
        rotation: &Rotation,
    ) -> Result<Look, CallError> {
        let old = self.rotated(cx, &rotation.setting)?;
        let new = Identity {
            dn: old.dn.clone(),
            password: rotation.password.clone(),
        };
        match self.own_verdict(cx, &new).await? {
            Verdict::Right | Verdict::MustChange => {
                self.renewed_password(&old, rotation);
                return Ok(Look::Done(Box::new(Done::Nothing)));
            }
            Verdict::Wrong => {}
            verdict => return Ok(unclear("new", verdict)),
        }
        Ok(match self.own_verdict(cx, &old).await? {
            Verdict::Right | Verdict::MustChange => Look::NotBegun,
            Verdict::Wrong => Look::Unclear(vec![format!(
                "the directory takes neither the new password of `{}` nor the old one",
                super::words(&old.dn)
            )]),
            verdict => unclear("old", verdict),
        })
    }

    /// What the directory says of one of them.
    async fn own_verdict(&self, cx: &Context, identity: &Identity) -> Result<Verdict, CallError> {
        let controls = self.dialect.bind_controls();
        let is_wrong = |answer: &_| matches!(self.dialect.verdict(answer), Verdict::Wrong);
        let tried = self
            .pool
            .try_own(identity, &controls, is_wrong, cx.deadline);
        let answer = tried
            .await
            .map_err(|error| of_read(&*self.dialect, &error))?;
        match self.dialect.verdict(&answer) {
            Verdict::Unavailable => Err(Failure::unavailable(
                "the directory could not tell whether it is the gateway's password",
            )
            .into()),
            verdict => Ok(verdict),
        }
    }

    /// Who the gateway is with the password that is to be changed.
    fn rotated(&self, cx: &Context, setting: &str) -> Result<Identity, CallError> {
        if setting != BIND_PASSWORD {
            let message = format!(
                "the setting `{setting}` is no password of the gateway's own: that is `{BIND_PASSWORD}`"
            );
            return Err(Failure::invalid(message).into());
        }
        if !cx.secret_settings.contains_key(BIND_PASSWORD) {
            let message = "the gateway's password lies in `bind_password_file`, where no server changes it: give it to the resource as the secret setting `bind_password`, or change it at the directory and in the file";
            return Err(Failure::unsupported(message).into());
        }
        self.given_identity(cx)
    }

    /// Nothing goes on by the old one.
    fn renewed_password(&self, old: &Identity, rotation: &Rotation) {
        self.renewed
            .note(&old.dn, &old.password, &rotation.password);
        self.parked.clear();
        self.pool.clear();
        self.pool.forget(&old.dn);
    }
}

fn unclear(which: &str, verdict: Verdict) -> Look {
    let why = match verdict {
        Verdict::Locked => "the gateway's account is locked",
        Verdict::Disabled => "the gateway's account is disabled",
        Verdict::NotNow => "the gateway's account may not log in now",
        Verdict::Expired => "the gateway's account or its password has expired",
        Verdict::Right | Verdict::Wrong | Verdict::MustChange | Verdict::Unavailable => {
            "the directory could not tell"
        }
    };
    Look::Unclear(vec![format!(
        "{why}, so that the {which} password cannot be tried"
    )])
}
