//! What has changed since, in two ways.
//!
//! DirSync (MS-ADTS 3.1.1.3.4.1.3) tells it of the whole domain, whichever controller answers, and
//! needs the right `Replicating Directory Changes`. By `uSNChanged` each controller tells what it
//! has written since, needs no right but to read, and knows nothing of what another one said.

mod moved;

use bytes::Bytes;

use super::identity::{self, GUID};
use super::{SHOW_DELETED, USN_CREATED, ranges};
use crate::connector::Changes;
use crate::connector::directory::ber::{self, Malformed, Reader, Writer};
use crate::connector::directory::dn;
use crate::connector::directory::fault::{Error, Fault, FaultKind, code};
use crate::connector::directory::filter::Filter;
use crate::connector::directory::link::Item;
use crate::connector::directory::message::{Answer, Control, Entry, Scope, Search};
use crate::connector::directory::session::{Session, below};
use crate::connector::directory::settings::ClassSettings;
use crate::connector::directory::sync_token;
use crate::model::{CallError, Change, Failure, FailureKind, ObjectClass, ObjectId, SyncToken};

/// The control that asks for changes, and says how far they go.
const DIR_SYNC: &str = "1.2.840.113556.1.4.841";

/// Bytes of one answer of DirSync, about.
const ANSWER: i64 = 1 << 20;

/// Answers of DirSync at the most.
const MOST_ANSWERS: usize = 100_000;

/// Objects of one answer at the most: of a mebibyte they are far fewer.
const MOST_TOLD: usize = 100_000;

/// Objects that are read together.
const BATCH: usize = 100;

/// The words of a token.
const BY_DIR_SYNC: &str = "dirsync1";
const BY_USN: &str = "usn1";

/// How changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By DirSync.
    DirSync,
    /// By what each controller counts.
    Usn,
}

/// Where the history of a controller stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    /// Which history it is: another one after the controller was put back to a backup.
    pub(super) invocation: String,
    /// The number of its last change.
    pub(super) usn: u64,
}

impl Stand {
    /// That of the controller that answers; `None`: it does not tell.
    pub(super) async fn of(session: &Session<'_>) -> Result<Option<Self>, Error> {
        let wanted = ["highestCommittedUSN", "dsServiceName"].map(str::to_owned);
        let Some(root) = session.entry("", &wanted).await? else {
            return Ok(None);
        };
        let usn = root
            .text("highestCommittedUSN")
            .and_then(|text| text.parse().ok());
        let (Some(usn), Some(service)) = (usn, root.text("dsServiceName")) else {
            return Ok(None);
        };
        let own = session.entry(service, &["invocationId".to_owned()]).await?;
        let invocation =
            own.and_then(|own| identity::guid_text(own.values("invocationId").first()?));
        Ok(invocation.map(|invocation| Self { invocation, usn }))
    }
}

/// What a token stands for.
enum Token {
    Cookie(Vec<u8>),
    Stand(Stand),
}

impl Token {
    fn read(token: &SyncToken, class: ObjectClass) -> Option<Self> {
        let (way, kept) = sync_token::read(token, class)?;
        match way {
            BY_DIR_SYNC => Some(Self::Cookie(kept.to_vec())),
            BY_USN => {
                let (invocation, usn) = std::str::from_utf8(kept).ok()?.split_once(' ')?;
                Some(Self::Stand(Stand {
                    invocation: invocation.to_owned(),
                    usn: usn.parse().ok()?,
                }))
            }
            _ => None,
        }
    }

    fn write(&self, class: ObjectClass) -> Result<SyncToken, CallError> {
        match self {
            Self::Cookie(cookie) => sync_token::write(BY_DIR_SYNC, class, cookie),
            Self::Stand(stand) => {
                let kept = format!("{} {}", stand.invocation, stand.usn);
                sync_token::write(BY_USN, class, kept.as_bytes())
            }
        }
    }
}

/// As [`Connector::sync`](crate::connector::Connector::sync).
pub(super) async fn sync(
    session: &Session<'_>,
    way: Way,
    root: &str,
    class: &ClassSettings,
    token: &SyncToken,
    changes: &mut Changes,
) -> Result<SyncToken, CallError> {
    let mut syncing = Syncing {
        session,
        root,
        class,
        changes,
    };
    let former = Token::read(token, class.class);
    match (way, former) {
        (Way::DirSync, None) if token.is_empty() => syncing.dir_sync(Vec::new(), true).await,
        (Way::DirSync, Some(Token::Cookie(cookie))) => syncing.dir_sync(cookie, false).await,
        (Way::Usn, None) if token.is_empty() => {
            let stand = syncing.stand().await?;
            Token::Stand(stand).write(class.class)
        }
        (Way::Usn, Some(Token::Stand(since))) => syncing.by_usn(&since).await,
        _ => Err(forgotten(
            "the token is none of this connector's as it is configured, or of another class",
        )),
    }
}

fn forgotten(why: &str) -> CallError {
    let message = format!("{why}: read all objects once, and begin with a new token");
    Failure::new(FailureKind::Forgotten, message).into()
}

struct Syncing<'a, 'b, 'c> {
    session: &'a Session<'b>,
    root: &'a str,
    class: &'a ClassSettings,
    changes: &'c mut Changes,
}

/// What one answer of DirSync tells.
#[derive(Default)]
struct Told {
    /// Objects that are to be read again.
    changed: Vec<Bytes>,
    /// Objects that were deleted.
    deleted: Vec<Bytes>,
    /// Objects that have another name, outside of the base.
    elsewhere: Vec<Bytes>,
    /// Containers that have another name.
    containers: Vec<Bytes>,
}

/// What DirSync is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Where the history stands.
    Nothing,
    /// Objects of the class, and what was deleted.
    Objects,
    /// Containers, which may have taken objects along.
    Containers,
}

impl Told {
    /// Objects in it.
    fn count(&self) -> usize {
        self.changed.len() + self.deleted.len() + self.elsewhere.len() + self.containers.len()
    }
}

impl Syncing<'_, '_, '_> {
    fn failed(&self, error: &Error) -> CallError {
        self.session.directory.read_error(error)
    }

    async fn stand(&self) -> Result<Stand, CallError> {
        let stand = Stand::of(self.session).await;
        stand.map_err(|error| self.failed(&error))?.ok_or_else(|| {
            Failure::rejected("the controller does not tell where its history stands: grant the gateway's identity the right to read its `NTDS Settings`, or set `sync = \"dirsync\"`").into()
        })
    }

    async fn dir_sync(&mut self, cookie: Vec<u8>, first: bool) -> Result<SyncToken, CallError> {
        let next = if first {
            self.follow(cookie, Wanted::Nothing).await?
        } else {
            let next = self.follow(cookie.clone(), Wanted::Objects).await?;
            // From the same point to a later one: what moves in between is told twice.
            self.follow(cookie, Wanted::Containers).await?;
            next
        };
        Token::Cookie(next).write(self.class.class)
    }

    /// Tells of all changes since a cookie; answers where they end.
    async fn follow(&mut self, mut cookie: Vec<u8>, wanted: Wanted) -> Result<Vec<u8>, CallError> {
        for _ in 0..MOST_ANSWERS {
            let asked = self.ask_dir_sync(&cookie, wanted).await;
            let (told, more, next) = asked.map_err(|error| self.dir_sync_failed(&error))?;
            self.tell(told).await?;
            if more && next == cookie {
                break;
            }
            cookie = next;
            if !more {
                return Ok(cookie);
            }
        }
        Err(Failure::rejected(
            "the directory repeats itself: it says that there is more, and gives nothing new",
        )
        .into())
    }

    fn dir_sync_failed(&self, error: &Error) -> CallError {
        match error.code() {
            Some(code::INSUFFICIENT_ACCESS_RIGHTS) => Failure::rejected(
                "DirSync needs the right `Replicating Directory Changes` on the domain: grant it to the gateway's identity, or set `sync = \"usn\"`",
            )
            .into(),
            Some(code::UNWILLING_TO_PERFORM | code::PROTOCOL_ERROR) => {
                forgotten("the directory does not know the token any more")
            }
            _ => self.failed(error),
        }
    }

    async fn ask_dir_sync(
        &self,
        cookie: &[u8],
        wanted: Wanted,
    ) -> Result<(Told, bool, Vec<u8>), Error> {
        let deleted = Filter::equal("isDeleted", "TRUE");
        let objects = Filter::Or(vec![self.class.filter.clone(), deleted]);
        let (filter, attributes) = match wanted {
            Wanted::Nothing => (objects, vec![GUID.to_owned()]),
            Wanted::Objects => (objects, Vec::new()),
            Wanted::Containers => (moved::filter(), [GUID, "name"].map(str::to_owned).to_vec()),
        };
        let mut lease = self.session.lease(false).await?;
        let link = lease.link()?;
        let deadline = self.session.deadline;
        let search = below(self.root, filter, &attributes);
        let id = link.begin(search, &[dir_sync(cookie)], deadline).await?;
        let mut told = Told::default();
        loop {
            match link.next(id, deadline).await? {
                Item::Entry(entry, _) if wanted != Wanted::Nothing => {
                    self.note(&entry, wanted, &mut told);
                    if told.count() > MOST_TOLD {
                        let text =
                            "the directory tells of more changes at once than it was asked for";
                        return Err(Error::Unknown(Fault::new(FaultKind::Garbled, text)));
                    }
                }
                Item::End(answer) => {
                    let (more, cookie) = progress(&answer).ok_or_else(|| {
                        let text = "the directory does not say how far its changes go";
                        Error::Unknown(Fault::new(FaultKind::Garbled, text))
                    })?;
                    return Ok((told, more, cookie));
                }
                _ => {}
            }
        }
    }

    fn note(&self, entry: &Entry, wanted: Wanted, told: &mut Told) {
        let Some(guid) = guid(entry) else {
            return;
        };
        if wanted == Wanted::Containers {
            told.containers
                .extend(Some(guid).filter(|_| !entry.values("name").is_empty()));
        } else if entry.text("isDeleted") == Some("TRUE") {
            told.deleted.push(guid);
        } else if dn::is_within(&entry.dn, &self.class.base) {
            told.changed.push(guid);
        } else if !entry.values("name").is_empty() {
            told.elsewhere.push(guid);
        }
    }

    async fn tell(&mut self, told: Told) -> Result<(), CallError> {
        for batch in told.changed.chunks(BATCH) {
            self.tell_changed(batch).await?;
        }
        for container in told.containers {
            self.tell_below(&container).await?;
        }
        for guid in told.elsewhere {
            self.tell_gone(&guid).await?;
        }
        for guid in told.deleted {
            let id = identity::guid_text(&guid).unwrap_or_default();
            let tombstone = tombstone(self.session, &id).await;
            let tombstone = tombstone.map_err(|error| self.failed(&error))?;
            if tombstone.is_none_or(|entry| self.was_ours(&entry)) {
                self.tell_gone(&guid).await?;
            }
        }
        Ok(())
    }

    /// Whether what was deleted may have been an object of the class below its base.
    fn was_ours(&self, tombstone: &Entry) -> bool {
        let classes = tombstone.values("objectClass");
        let is = |name: &str| {
            classes
                .iter()
                .any(|one| one.eq_ignore_ascii_case(name.as_bytes()))
        };
        let of_class = self.class.object_classes.iter().all(|name| is(name));
        let parent = tombstone.text("lastKnownParent");
        of_class && parent.is_none_or(|parent| dn::is_within(parent, &self.class.base))
    }

    /// What has changed is read again: the answers hold what is new of it alone.
    async fn tell_changed(&mut self, guids: &[Bytes]) -> Result<(), CallError> {
        let directory = self.session.directory;
        let each = guids.iter().map(|guid| Filter::equal(GUID, guid));
        let filter = Filter::And(vec![self.class.filter.clone(), Filter::any(each.collect())]);
        let wanted = directory.wanted(self.class, &[]);
        let found = self
            .session
            .entries(&self.class.base, filter, &wanted, 2 * BATCH);
        let found = found.await.map_err(|error| self.failed(&error))?;
        for guid in guids {
            let of_it = found
                .iter()
                .find(|entry| entry.values(GUID).first() == Some(guid));
            match of_it {
                Some(entry) => self.tell_present(entry.clone()).await?,
                // It was deleted or moved meanwhile, or is of another class.
                None => self.tell_gone(guid).await?,
            }
        }
        Ok(())
    }

    async fn tell_present(&mut self, mut entry: Entry) -> Result<(), CallError> {
        let directory = self.session.directory;
        let beside = self.session.beside();
        let completed = ranges::complete(&beside, &mut entry).await;
        completed.map_err(|error| self.failed(&error))?;
        let object = directory
            .read_links(&beside, self.class, &entry, &[])
            .await?;
        Ok(self.changes.push(Change::Present(Box::new(object))).await?)
    }

    async fn tell_gone(&mut self, guid: &[u8]) -> Result<(), CallError> {
        let id = identity::guid_text(guid).unwrap_or_default();
        let id = ObjectId::new(id).map_err(|error| Failure::rejected(error.to_string()))?;
        let gone = Change::Gone {
            class: self.class.class,
            id,
            name: None,
        };
        Ok(self.changes.push(gone).await?)
    }

    async fn by_usn(&mut self, since: &Stand) -> Result<SyncToken, CallError> {
        // Before the searches: what changes meanwhile comes once more, and nothing is missed.
        let stand = self.stand().await?;
        if stand.invocation != since.invocation {
            return Err(forgotten(
                "another controller answers than the one that gave the token, or it was put back to a backup",
            ));
        }
        let from = || {
            let next = since.usn.saturating_add(1).to_string();
            Filter::GreaterOrEqual("uSNChanged".to_owned(), next.into_bytes())
        };
        let mut wanted = self.session.directory.wanted(self.class, &[]);
        wanted.push(USN_CREATED.to_owned());
        let filter = Filter::And(vec![self.class.filter.clone(), from()]);
        let present = below(self.root, filter, &wanted);
        self.pages(present, &[], false).await?;
        let filter = Filter::And(vec![moved::filter(), from()]);
        let containers = below(self.root, filter, &moved::READ.map(str::to_owned));
        self.pages_below(containers, since.usn).await?;
        let is_deleted = Filter::equal("isDeleted", "TRUE");
        let wanted = [GUID, "objectClass", "lastKnownParent"].map(str::to_owned);
        let deleted = below(
            &format!("CN=Deleted Objects,{}", self.root),
            Filter::And(vec![is_deleted, from()]),
            &wanted,
        );
        let shown = [Control::new(SHOW_DELETED, None).critical()];
        self.pages(deleted, &shown, true).await?;
        Token::Stand(stand).write(self.class.class)
    }

    /// What lies below the containers that got another name.
    async fn pages_below(&mut self, search: Search, since: u64) -> Result<(), CallError> {
        let begun = self.session.stream(&search, &[]).await;
        let mut found = begun.map_err(|error| self.failed(&error))?;
        let mut containers = Vec::new();
        while let Some(entry) = {
            let next = found.next().await;
            next.map_err(|error| self.failed(&error))?
        } {
            if moved::is_moved_since(&entry, since) {
                containers.extend(guid(&entry));
            }
            if containers.len() > MOST_TOLD {
                let error = "the directory has more containers that changed than can be followed: read all objects once";
                return Err(forgotten(error));
            }
        }
        for container in containers {
            self.tell_below(&container).await?;
        }
        Ok(())
    }

    async fn pages(
        &mut self,
        search: Search,
        controls: &[Control],
        deleted: bool,
    ) -> Result<(), CallError> {
        let begun = self.session.stream(&search, controls).await;
        let mut found = begun.map_err(|error| self.failed(&error))?;
        while let Some(entry) = {
            let next = found.next().await;
            next.map_err(|error| self.failed(&error))?
        } {
            let guid = guid(&entry).ok_or_else(|| self.failed(&nameless()))?;
            if deleted && self.was_ours(&entry) {
                self.tell_gone(&guid).await?;
            } else if !deleted && dn::is_within(&entry.dn, &self.class.base) {
                self.tell_present(entry).await?;
            } else if !deleted {
                self.tell_gone(&guid).await?;
            }
        }
        Ok(())
    }
}

/// The objectGUID of an entry: a copy of its 16 bytes, as the value itself would keep all of its
/// message.
fn guid(entry: &Entry) -> Option<Bytes> {
    let guid = entry.values(GUID).first()?;
    (guid.len() == 16).then(|| Bytes::copy_from_slice(guid))
}

fn nameless() -> Error {
    let text = "the directory tells of a change without saying of which object it is";
    Error::Unknown(Fault::new(FaultKind::Garbled, text))
}

/// The control that asks for what has changed since a cookie.
fn dir_sync(cookie: &[u8]) -> Control {
    let mut value = Writer::default();
    value.constructed(ber::SEQUENCE, |inner| {
        inner.number(ber::INTEGER, 0);
        inner.number(ber::INTEGER, ANSWER);
        inner.octets(cookie);
    });
    Control::new(DIR_SYNC, Some(value.into_bytes().to_vec())).critical()
}

/// Whether there is more, and the cookie to ask for it.
fn progress(answer: &Answer) -> Option<(bool, Vec<u8>)> {
    let value = answer.control(DIR_SYNC)?;
    let read = || -> Result<_, Malformed> {
        let mut inner = Reader::new(Bytes::copy_from_slice(value)).within(ber::SEQUENCE)?;
        let more = inner.number(ber::INTEGER)?;
        inner.number(ber::INTEGER)?;
        Ok((more != 0, inner.expect(ber::OCTETS)?.to_vec()))
    };
    read().ok()
}

/// What is left of an object that was deleted.
async fn tombstone(session: &Session<'_>, id: &str) -> Result<Option<Entry>, Error> {
    let search = Search {
        base: format!("<GUID={id}>"),
        scope: Scope::Base,
        filter: Filter::everything(),
        attributes: ["isDeleted", "objectClass", "lastKnownParent"]
            .map(str::to_owned)
            .to_vec(),
        size_limit: 0,
    };
    let shown = [Control::new(SHOW_DELETED, None).critical()];
    let beside = session.beside();
    let mut lease = beside.lease(false).await?;
    let link = lease.link()?;
    let id = link.begin(search, &shown, session.deadline).await?;
    let mut found = None;
    loop {
        match link.next(id, session.deadline).await {
            Ok(Item::Entry(entry, _)) => found = Some(entry),
            Ok(Item::End(_)) => return Ok(found),
            Ok(_) => {}
            Err(error) if error.code() == Some(code::NO_SUCH_OBJECT) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Whether the controller has the tombstone of an object: that proves that it was deleted, as its
/// absence does not.
pub(super) async fn is_deleted(session: &Session<'_>, id: &str) -> Result<bool, Error> {
    if identity::guid_bytes(id).is_none() {
        return Ok(false);
    }
    let found = tombstone(session, id).await?;
    Ok(found.is_some_and(|entry| entry.text("isDeleted") == Some("TRUE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_others_are_told() {
        let class = ObjectClass::Account;
        let stand = Stand {
            invocation: "x".to_owned(),
            usn: 7,
        };
        let token = Token::Stand(stand.clone()).write(class).unwrap();
        assert!(matches!(Token::read(&token, class), Some(Token::Stand(found)) if found == stand));
        assert!(Token::read(&token, ObjectClass::Group).is_none());
        let token = Token::Cookie(vec![0, 32, 255]).write(class).unwrap();
        assert!(
            matches!(Token::read(&token, class), Some(Token::Cookie(found)) if found == [0, 32, 255])
        );
        for other in [
            "",
            "usn1",
            "usn1 account x",
            "usn1 account x y",
            "sync1 account x",
        ] {
            let token = SyncToken::new(other.as_bytes().to_vec()).unwrap();
            assert!(Token::read(&token, class).is_none(), "{other}");
        }
    }

    #[test]
    fn how_far_the_changes_go_is_read_from_the_control() {
        let answer = |value: &[u8]| Answer {
            controls: vec![Control::new(DIR_SYNC, Some(value.to_vec()))],
            ..Answer::default()
        };
        let more = answer(b"\x30\x09\x02\x01\x01\x02\x01\x00\x04\x01x");
        assert_eq!(progress(&more), Some((true, b"x".to_vec())));
        assert_eq!(progress(&answer(b"\x30\x03\x02\x01\x01")), None);
        assert_eq!(progress(&Answer::default()), None);
    }
}
