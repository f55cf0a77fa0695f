//! Whether an account that was being deleted is gone where another name has its uid: useradd(8)
//! gives a free one away again.

use super::{Account, Unix, find_account};
use crate::connector::look::{self, ID, NAME};
use crate::model::{CallError, Done, Evidence, Look, ObjectClass, ObjectId, ObjectRef, Selector};

/// Digests of what a rename leaves as it is, unless it is told otherwise.
const PASSWORD: &str = "#password";
const COMMENT: &str = "#comment";
const HOME: &str = "#home";

/// Notes what an account has beside its name and its uid.
pub(super) fn note(evidence: &mut Evidence, account: &Account) {
    for (fact, value) in facts(account) {
        if !value.is_empty() {
            evidence.note(fact, look::digest(value));
        }
    }
}

impl Unix {
    /// Where another name has the uid now: the account is gone if that one has nothing of what it
    /// had. With the same password, comment or home it may be the account itself, renamed by hand;
    /// and an account that had neither password nor comment is not told from another.
    pub(super) async fn was_given_away(
        &self,
        before: &Evidence,
    ) -> Result<Option<Look>, CallError> {
        let (Some(former), Some(Ok(id))) = (before.fact(NAME), before.fact(ID).map(ObjectId::new))
        else {
            return Ok(None);
        };
        let database = self.read().await?;
        let by_id = ObjectRef {
            class: ObjectClass::Account,
            by: Selector::Id(id),
        };
        let there = match find_account(&database, &by_id) {
            Ok(account) if database.account(former).is_none() => account,
            Ok(_) => return Ok(None),
            Err(failure) if failure.is_not_found() => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let differs = |fact: &str, value: &[u8]| {
            let noted = before.fact(fact);
            noted
                .and_then(|noted| look::is_same(noted, value))
                .map(|same| !same)
        };
        let told = facts(there).map(|(fact, value)| (fact, differs(fact, value)));
        let is_other = told.iter().all(|(_, differs)| *differs != Some(false));
        let is_told = told
            .iter()
            .any(|(fact, differs)| *fact != HOME && *differs == Some(true));
        Ok((is_other && is_told).then(|| Look::Done(Box::new(Done::Nothing))))
    }
}

fn facts(account: &Account) -> [(&'static str, &[u8]); 3] {
    [
        (
            PASSWORD,
            account.password.hash().unwrap_or_default().as_bytes(),
        ),
        (COMMENT, account.gecos.as_bytes()),
        (HOME, account.home.as_bytes()),
    ]
}
