//! The second person: what one alone can do the most harm with waits until somebody else has
//! approved it.
//!
//! What waits stands in the repository: a request that was made to one server is approved on
//! another, and one that is started again knows of all of them.

use std::time::Duration;

use portcullis_common::rotation::UnixMillis;

use crate::audit::Subject;
use crate::repository::{Asked, NewApproval, Repository, RepositoryError, StoredApproval};

/// How long a request waits, and how long an approval holds, from when it was asked for.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Requests that wait at most, of one user and of all.
const MAX_OF_USER: usize = 8;
const MAX: usize = 64;
/// Bytes of a request at most.
const MAX_CONTENTS: usize = 64 << 10;
const ID: &str = "ap-";

/// What waits for a second person, and what one has approved. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Approvals {
    repository: Repository,
    needed: bool,
    lifetime: Duration,
}

/// A request that waits for a second person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// `ap-1`, `ap-2`, …
    pub id: String,
    /// Its method: `Keys/Export`.
    pub method: String,
    /// What it is about.
    pub object: String,
    /// Who asked, and when.
    pub asked_by: Subject,
    /// When that was.
    pub asked: UnixMillis,
    /// When it is forgotten.
    pub expires: UnixMillis,
    /// Who approved it.
    pub approved_by: Option<Subject>,
}

/// What is to become of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Passage {
    /// No second person is needed.
    Free,
    /// A second person has approved it: it is carried out, this once.
    Approved(Approval),
    /// It waits, since now where `new`.
    Waits {
        /// What is to be approved.
        approval: Approval,
        /// Whether it was asked for just now.
        new: bool,
    },
}

/// Why an approval is not given, or a request not taken to wait.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// None of this id waits.
    #[error(
        "no request waits for an approval under `{0}`: it was carried out, has expired, or never was there; `portcullis approvals` lists those there are"
    )]
    Unknown(String),
    /// Whoever asks cannot be the second person.
    #[error("{0} asked for this: the second person has to be another user")]
    Own(Subject),
    /// Too many wait.
    #[error("too many requests wait for a second person: wait until some are approved or expire")]
    TooMany,
    /// It is larger than any sensible one.
    #[error("the request is larger than {MAX_CONTENTS} bytes: name fewer keys")]
    TooLarge,
    /// What waits cannot be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl Approvals {
    /// Those of `repository`. `needed`: whether a second person is needed at all.
    pub const fn new(repository: Repository, needed: bool, lifetime: Duration) -> Self {
        Self {
            repository,
            needed,
            lifetime,
        }
    }

    /// How long a request waits.
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Whether `asked_by` may go on with a request of these contents. An approval is used up by it.
    ///
    /// # Errors
    /// [`ApprovalError::TooMany`], `TooLarge`, `Repository`.
    pub async fn pass(
        &self,
        asked_by: &Subject,
        method: &str,
        object: &str,
        contents: Vec<u8>,
    ) -> Result<Passage, ApprovalError> {
        if !self.needed {
            return Ok(Passage::Free);
        }
        if contents.len() > MAX_CONTENTS {
            return Err(ApprovalError::TooLarge);
        }
        let new = NewApproval {
            method: method.to_owned(),
            object: object.to_owned(),
            asked_by: (asked_by.to_string(), asked_by.uid()),
            contents,
            lifetime: self.lifetime,
        };
        let asks = asked_by.clone();
        let same_user = move |one: &StoredApproval| who_asked(one).is_same_user(&asks);
        let asked = self.repository.approvals();
        let asked = asked.ask(new, same_user, (MAX_OF_USER, MAX)).await?;
        Ok(match asked {
            Asked::Approved(approval) => Passage::Approved(approval.into()),
            Asked::Waits(approval) => Passage::Waits {
                approval: approval.into(),
                new: false,
            },
            Asked::New(approval) => Passage::Waits {
                approval: approval.into(),
                new: true,
            },
            Asked::TooMany => return Err(ApprovalError::TooMany),
        })
    }

    /// `second` approves the request that waits under `id`. A second approval changes nothing.
    ///
    /// # Errors
    /// [`ApprovalError::Unknown`], `Own`, `Repository`.
    pub async fn approve(&self, id: &str, second: &Subject) -> Result<Approval, ApprovalError> {
        let unknown = || ApprovalError::Unknown(id.to_owned());
        let number = id.strip_prefix(ID).and_then(|number| number.parse().ok());
        let number = number.ok_or_else(unknown)?;
        let by = second.clone();
        let may = move |one: &StoredApproval| by.is_somebody_else(&who_asked(one));
        let approved = self.repository.approvals();
        let approved = approved.approve(number, &second.to_string(), may).await?;
        match approved.ok_or_else(unknown)? {
            Ok(approval) => Ok(approval.into()),
            Err(_) => Err(ApprovalError::Own(second.clone())),
        }
    }

    /// Those that wait, or are approved and not used yet; oldest first.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<Approval>, RepositoryError> {
        let all = self.repository.approvals().list().await?;
        Ok(all.into_iter().map(Approval::from).collect())
    }

    /// Forgets the requests whose time has come, and gives those that no server has forgotten yet.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was forgotten. They count no more all the same.
    pub async fn expire(&self) -> Result<Vec<Approval>, RepositoryError> {
        let over = self.repository.approvals().expire().await?;
        Ok(over.into_iter().map(Approval::from).collect())
    }
}

fn who_asked(approval: &StoredApproval) -> Subject {
    let (text, uid) = &approval.asked_by;
    Subject::told(text, *uid)
}

impl From<StoredApproval> for Approval {
    fn from(stored: StoredApproval) -> Self {
        Self {
            id: format!("{ID}{}", stored.number),
            asked_by: who_asked(&stored),
            approved_by: stored.approved_by.as_deref().map(Subject::written),
            method: stored.method,
            object: stored.object,
            asked: stored.asked,
            expires: stored.expires,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::keys::protection::Protection;
    use crate::keys::{Keyring, authority};
    use crate::repository::{Database, tamper};

    /// A repository that any number of servers have open.
    struct Site {
        folder: tempfile::TempDir,
        protection: Protection,
    }

    impl Site {
        async fn new() -> (Self, Approvals) {
            let folder = tempfile::tempdir().unwrap();
            let protection = Protection::random();
            let site = Self { folder, protection };
            let database = Database::create(&site.path()).await.unwrap();
            let made = Keyring::create(&database, &site.protection, UnixMillis(1)).await;
            let repository = Repository::new(database, Arc::new(made.unwrap()));
            authority::create(&repository).await.unwrap();
            (site, Approvals::new(repository, true, LIFETIME))
        }

        fn path(&self) -> std::path::PathBuf {
            self.folder.path().join("test.db")
        }

        async fn another(&self, lifetime: Duration) -> Approvals {
            let database = Database::open(&self.path()).await.unwrap();
            let keyring = Keyring::unlock(&database, &self.protection).await.unwrap();
            let repository = Repository::new(database, Arc::new(keyring));
            repository.open_authority().await.unwrap();
            Approvals::new(repository, true, lifetime)
        }
    }

    fn alice() -> Subject {
        Subject::user(1001, Some("alice"))
    }

    fn bob() -> Subject {
        Subject::user(1002, Some("bob"))
    }

    async fn pass(approvals: &Approvals, who: &Subject, contents: &[u8]) -> Passage {
        let passed = approvals.pass(who, "Keys/Export", "all keys", contents.to_vec());
        passed.await.unwrap()
    }

    fn id(passage: Passage) -> String {
        let Passage::Waits { approval, .. } = passage else {
            panic!("{passage:?}");
        };
        approval.id
    }

    #[tokio::test]
    async fn an_approval_is_for_one_request_of_one_user_once_on_whichever_server() {
        let (site, here) = Site::new().await;
        let there = site.another(LIFETIME).await;
        let first = id(pass(&here, &alice(), b"one").await);
        // The same user, whatever name the system knows at that moment, and the one of that name on
        // another host.
        let nameless = Subject::user(1001, None);
        let elsewhere = Subject::user(2001, Some("alice"));
        for own in [
            &alice(),
            &nameless,
            &Subject::user(1001, Some("root")),
            &elsewhere,
        ] {
            let refused = there.approve(&first, own).await;
            assert!(
                matches!(&refused, Err(ApprovalError::Own(who)) if who == own),
                "{refused:?}"
            );
        }
        assert_eq!(id(pass(&there, &nameless, b"one").await), first);
        let approved = there.approve(&first, &bob()).await.unwrap();
        assert_eq!(
            approved.approved_by.as_ref().unwrap().to_string(),
            "bob (1002)"
        );
        assert_eq!(here.list().await.unwrap(), std::slice::from_ref(&approved));
        // Other contents, and somebody else's.
        assert_ne!(id(pass(&here, &alice(), b"two").await), first);
        assert_ne!(id(pass(&here, &bob(), b"one").await), first);
        let namesake = Subject::user(1001, Some("carol"));
        assert_ne!(id(pass(&there, &namesake, b"one").await), first);
        let who = alice();
        let other = here.pass(&who, "Keys/Delete", "all keys", b"one".to_vec());
        assert_ne!(id(other.await.unwrap()), first);
        // On both at once: one of them has it.
        let both = tokio::join!(pass(&here, &who, b"one"), pass(&there, &who, b"one"));
        let used = [both.0, both.1].into_iter();
        let used: Vec<_> = used
            .filter(|one| *one == Passage::Approved(approved.clone()))
            .collect();
        assert_eq!(used.len(), 1);
        let again = there.approve(&first, &bob()).await;
        assert!(matches!(again, Err(ApprovalError::Unknown(_))), "{again:?}");
    }

    #[tokio::test]
    async fn what_has_expired_is_neither_approved_nor_carried_out_and_is_told_once() {
        let (site, here) = Site::new().await;
        let brief = site.another(Duration::ZERO).await;
        let first = id(pass(&brief, &alice(), b"one").await);
        assert!(here.approve(&first, &bob()).await.is_err());
        assert_ne!(id(pass(&brief, &alice(), b"one").await), first);
        assert_eq!(here.list().await.unwrap(), []);
        let told = here.expire().await.unwrap();
        assert_eq!((told.len(), &told[0].id), (2, &first));
        assert_eq!(brief.expire().await.unwrap(), []);
        let off = Approvals::new(here.repository.clone(), false, LIFETIME);
        assert_eq!(pass(&off, &alice(), b"one").await, Passage::Free);
    }

    #[tokio::test]
    async fn what_somebody_wrote_into_the_repository_is_no_approval() {
        let (site, here) = Site::new().await;
        let first = id(pass(&here, &alice(), b"one").await);
        tamper(
            &site.path(),
            "UPDATE approvals SET approved_by = 'bob (1002)'",
        );
        assert_ne!(id(pass(&here, &alice(), b"one").await), first);
        assert_eq!(here.list().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn no_user_keeps_the_others_from_asking() {
        let (_site, approvals) = Site::new().await;
        for n in 0..MAX_OF_USER {
            pass(&approvals, &alice(), n.to_string().as_bytes()).await;
        }
        let (who, other) = (alice(), Subject::user(1003, None));
        let more = approvals.pass(&who, "Keys/Export", "", b"more".to_vec());
        assert!(matches!(more.await, Err(ApprovalError::TooMany)));
        pass(&approvals, &Subject::user(1002, None), b"more").await;
        let large = vec![0; MAX_CONTENTS + 1];
        let large = approvals.pass(&other, "Keys/Export", "", large);
        assert!(matches!(large.await, Err(ApprovalError::TooLarge)));
    }
}
