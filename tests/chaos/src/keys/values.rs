//! What people store: passwords, answers, histories, words of the dictionary, and the secrets that
//! resources need.

use portcullis_server::repository::{
    HistoryEntry, HistoryOwner, NewQueuedCall, PolicyWord, ProtectedType, Resource, TAG_LEN,
};
use rand::RngExt;
use zeroize::Zeroizing;

use super::gateways::DAY;
use super::model::{Content, Slot};
use super::world::{Stop, World};

const USERS: usize = 3;
const RESOURCE: &str = "crm";
/// More than any owner gets.
const DEPTH: u32 = 1_000;
/// More than are ever queued.
const QUEUE_LIMIT: u32 = 1_000;

impl World {
    /// Users and a resource, with nothing stored for them yet.
    pub(super) async fn add_owners(&mut self) -> Result<(), Stop> {
        let repository = self.repository()?;
        for user in 0..USERS {
            let added = repository.users().add(&name(user), self.now).await;
            self.stored("user add", added)?;
        }
        let resource = Resource {
            name: RESOURCE.to_owned(),
            gateway: self.gateways[0].name.clone(),
            connector: "script".to_owned(),
            settings: [].into(),
            secret_settings: [].into(),
            mapping: [].into(),
            groups: [].into(),
            pending: [].into(),
            common: [].into(),
            lost_settings: [].into(),
            fault: None,
            created: self.now,
        };
        let added = repository.resources().add(resource).await;
        self.stored("resource add", added)
    }

    /// Stores or changes one.
    pub(super) async fn change_a_value(&mut self) -> Result<(), Stop> {
        self.counts.changed += 1;
        match self.rng.random_range(0..14) {
            0..5 => self.set_password().await,
            5..7 => self.set_answer().await,
            7..9 => self.set_secret_setting().await,
            9 => self.remember_account_password().await,
            10 => self.add_word().await,
            11 => self.queue_a_call().await,
            12 => self.cancel_a_call().await,
            _ => self.remove_user().await,
        }
    }

    async fn set_password(&mut self) -> Result<(), Stop> {
        let user = self.any_user();
        let (password, digest) = (self.secret(), self.digest());
        let what = user.clone();
        self.needles
            .add(&password, || format!("a password of {what}"));
        let slot = slot(ProtectedType::UserPassword, user.as_bytes(), "password");
        self.model.may_become(slot.clone(), Content::is(&password));
        let entry = self.history(ProtectedType::PasswordHistory, user.as_bytes(), &digest);
        let repository = self.repository()?;
        let done = repository
            .users()
            .set_password(&user, &password, Some(entry), self.now)
            .await;
        self.stored("user set-password", done)?;
        self.model.set(slot, Content::is(&password));
        self.model.history.certain(&digest);
        let read = repository.users().password(&user).await;
        let read = self.stored("the password of a user", read)?;
        if read.as_deref() != Some(&password) {
            self.broken(|| format!("the password of {user} is another than was stored"));
        }
        Ok(())
    }

    async fn set_answer(&mut self) -> Result<(), Stop> {
        let (user, digest) = (self.any_user(), self.digest());
        let question = format!("question {}", self.rng.random_range(0..3));
        let slot = slot(ProtectedType::UserAnswer, user.as_bytes(), &question);
        if self.rng.random_bool(0.2) {
            self.model.may_become(slot.clone(), Content::None);
            let done = self
                .repository()?
                .users()
                .remove_answer(&user, &question)
                .await;
            self.stored("user remove-answer", done)?;
            self.model.set(slot, Content::None);
            return Ok(());
        }
        self.model.may_become(slot.clone(), Content::is(&digest));
        let done = self
            .repository()?
            .users()
            .set_answer(&user, &question, &digest)
            .await;
        self.stored("user set-answer", done)?;
        self.model.set(slot, Content::is(&digest));
        Ok(())
    }

    async fn set_secret_setting(&mut self) -> Result<(), Stop> {
        let setting = format!("password{}", self.rng.random_range(0..3));
        let value = match self.rng.random_bool(0.2) {
            true => Vec::new(),
            false => self.secret(),
        };
        self.needles
            .add(&value, || "a password of a resource".to_owned());
        let content = match value.is_empty() {
            true => Content::None,
            false => Content::is(&value),
        };
        let slot = slot(
            ProtectedType::ResourcePassword,
            RESOURCE.as_bytes(),
            &setting,
        );
        self.model.may_become(slot.clone(), content.clone());
        let secrets = [(setting, Zeroizing::new(value))].into();
        let done = self
            .repository()?
            .resources()
            .update_with(RESOURCE, secrets, |_| {})
            .await;
        self.stored("resource set", done)?;
        self.model.set(slot, content);
        Ok(())
    }

    async fn remember_account_password(&mut self) -> Result<(), Stop> {
        let account = format!("account{}", self.rng.random_range(0..2));
        let digest = self.digest();
        let owner = format!("{RESOURCE}/name:{account}");
        let kind = ProtectedType::ResourcePasswordHistory;
        let entry = self.history(kind, owner.as_bytes(), &digest);
        let of = HistoryOwner::account_named(RESOURCE, &account);
        let done = self.repository()?.password_history().add(of, entry).await;
        self.stored("a call that sets a password", done)?;
        self.model.history.certain(&digest);
        Ok(())
    }

    async fn add_word(&mut self) -> Result<(), Stop> {
        let digest = self.digest();
        let tag: [u8; TAG_LEN] = self.rng.random();
        let slot = slot(ProtectedType::PolicyWord, &tag, "digest");
        self.model.may_become(slot.clone(), Content::is(&digest));
        let word = PolicyWord {
            tag,
            digest: Zeroizing::new(digest.clone()),
        };
        let done = self.repository()?.policy_words().add(vec![word]).await;
        self.stored("policy add-words", done)?;
        self.model.set(slot, Content::is(&digest));
        Ok(())
    }

    async fn queue_a_call(&mut self) -> Result<(), Stop> {
        let payload = self.secret();
        self.needles
            .add(&payload, || "the payload of a queued call".to_owned());
        let call_id = format!("call{:08x}", self.rng.random::<u32>());
        let slot = self.payload_of(&call_id);
        self.model.may_become(slot.clone(), Content::is(&payload));
        let new = NewQueuedCall {
            lanes: ("ada".to_owned(), "ada".to_owned()),
            direct: None,
            after: None,
            retry_of: None,
            trace_id: None,
            call_id: call_id.clone(),
            resource: RESOURCE.to_owned(),
            summary: "update ada".to_owned(),
            payload: Zeroizing::new(payload.clone()),
            queued: self.now,
            expires: self.now.plus(DAY),
            digest: vec![0; 32],
        };
        let queued = self
            .repository()?
            .queued_calls()
            .enqueue(new, QUEUE_LIMIT)
            .await;
        self.stored("call --queue", queued)?;
        self.model.set(slot, Content::is(&payload));
        self.calls.push(call_id);
        Ok(())
    }

    /// Where a payload goes to is authenticated with it.
    fn payload_of(&self, call_id: &str) -> Slot {
        let gateway = &self.gateways[0].name;
        let field = format!("payload for {RESOURCE} through {gateway}");
        slot(ProtectedType::QueuedCall, call_id.as_bytes(), &field)
    }

    /// Its payload goes with it.
    async fn cancel_a_call(&mut self) -> Result<(), Stop> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let at = self.rng.random_range(0..self.calls.len());
        let call_id = self.calls.swap_remove(at);
        let slot = self.payload_of(&call_id);
        self.model.may_become(slot.clone(), Content::None);
        let cancelled = self
            .repository()?
            .queued_calls()
            .cancel(&call_id, (self.now, "a run of tests"))
            .await;
        self.stored("queue cancel", cancelled)?;
        self.model.set(slot, Content::None);
        Ok(())
    }

    /// With all that was theirs; and lets them come back with nothing.
    async fn remove_user(&mut self) -> Result<(), Stop> {
        let user = self.any_user();
        let kinds = [
            ProtectedType::UserPassword,
            ProtectedType::UserAnswer,
            ProtectedType::PasswordHistory,
        ];
        let theirs = self.model.slots().into_iter();
        let theirs =
            theirs.filter(|slot| kinds.contains(&slot.kind) && slot.owner == user.as_bytes());
        let theirs: Vec<_> = theirs.collect();
        for slot in &theirs {
            self.model.may_become(slot.clone(), Content::None);
        }
        self.model.history.may_forget(user.as_bytes());
        let repository = self.repository()?;
        let done = repository.users().remove(&user).await;
        let gone = self.stored("user remove", done);
        if gone.is_ok() {
            for slot in theirs {
                self.model.set(slot, Content::None);
            }
            self.model.history.forget(user.as_bytes());
        }
        gone?;
        let added = repository.users().add(&user, self.now).await;
        self.stored("user add", added)?;
        Ok(())
    }

    /// A removal that a crash or a full disk parted from the coming back leaves a name that nobody
    /// has.
    pub(super) async fn everybody_is_there(&mut self) -> Result<(), Stop> {
        let repository = self.repository()?;
        for user in 0..USERS {
            let found = repository.users().find(&name(user)).await;
            if self.stored("user show", found)?.is_none() {
                let added = repository.users().add(&name(user), self.now).await;
                self.stored("user add", added)?;
            }
        }
        Ok(())
    }

    fn history(&mut self, kind: ProtectedType, owner: &[u8], digest: &[u8]) -> HistoryEntry {
        self.model.history.may_come(kind, owner, digest);
        HistoryEntry {
            digest: Zeroizing::new(digest.to_vec()),
            depth: DEPTH,
        }
    }

    fn any_user(&mut self) -> String {
        name(self.rng.random_range(0..USERS))
    }

    /// A password as somebody could choose it.
    fn secret(&mut self) -> Vec<u8> {
        let mut letters = b"pw-".to_vec();
        letters.extend((0..20).map(|_| self.rng.random_range(b'a'..=b'z')));
        letters
    }

    fn digest(&mut self) -> Vec<u8> {
        let bytes: [u8; 40] = self.rng.random();
        bytes.to_vec()
    }
}

fn name(user: usize) -> String {
    format!("user{user}")
}

fn slot(kind: ProtectedType, owner: &[u8], field: &str) -> Slot {
    Slot {
        kind,
        owner: owner.to_vec(),
        field: field.to_owned(),
    }
}
