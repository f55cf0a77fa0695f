//! The gateway's own password at the database: whether it can be changed, and which one it has.

use super::{Sql, password};
use crate::connector::Context;
use crate::model::{CallError, Done, Failure, Look, Rotation};

impl Sql {
    /// Refuses what is no password that this connector can change.
    pub(super) fn check_rotation(&self, cx: &Context, rotation: &Rotation) -> Result<(), Failure> {
        if !self.asks_password {
            let message = "the gateway's password lies in `password_file`, where no server changes it, or the database asks for none: leave `password_file` out and give the resource the secret setting `password`, or change it at the database and in the file";
            return Err(Failure::unsupported(message));
        }
        if rotation.setting != password::SETTING {
            return Err(Failure::invalid(format!(
                "the setting `{}` is no password of the gateway's own: that is `{}`",
                rotation.setting,
                password::SETTING
            )));
        }
        if !cx.secret_settings.contains_key(password::SETTING) {
            let message = "the resource gives no `password`, so that there is none to be changed";
            return Err(Failure::unsupported(message));
        }
        Ok(())
    }

    /// Which of the two passwords the database takes: the new one is tried, and then the old one.
    /// Where that is right, a change that had not come to its end yet has ended meanwhile, and the
    /// new one is tried once more.
    pub(super) async fn look_at_renewal(
        &self,
        cx: &Context,
        rotation: &Rotation,
    ) -> Result<Look, CallError> {
        self.check_rotation(cx, rotation)?;
        if self.engine.takes_password(cx, &rotation.password).await? {
            return Ok(Look::Done(Box::new(Done::Nothing)));
        }
        if let Some(old) = cx.secret_settings.get(password::SETTING)
            && self.engine.takes_password(cx, old).await?
        {
            if self.engine.takes_password(cx, &rotation.password).await? {
                return Ok(Look::Done(Box::new(Done::Nothing)));
            }
            return Ok(Look::NotBegun);
        }
        Ok(Look::Unclear(vec![
            "the database takes neither the new password of the gateway's user nor the old one"
                .to_owned(),
        ]))
    }
}
