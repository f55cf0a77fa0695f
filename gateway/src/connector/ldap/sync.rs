//! What has changed in a directory: by content synchronization (RFC 4533), or where a directory has
//! none, by the times that its entries carry.
//!
//! A token is a word for the way, the class, and where the directory's history stood. That of RFC
//! 4533 knows of what was deleted; times do not.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use crate::connector::Changes;
use crate::connector::directory::ber::{self, Malformed, Reader, Writer};
use crate::connector::directory::fault::{Error, code};
use crate::connector::directory::filter::Filter;
use crate::connector::directory::link::Item;
use crate::connector::directory::message::{Control, Entry};
use crate::connector::directory::session::{Session, below};
use crate::connector::directory::settings::ClassSettings;
use crate::connector::directory::sync_token;
use crate::connector::directory::values::{as_generalized, generalized};
use crate::model::{CallError, Change, Failure, FailureKind, ObjectClass, ObjectId, SyncToken};

use super::{CONTEXT_CSN, garbled, lacks};

/// RFC 4533, section 2.2 to 2.5.
const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const SYNC_DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const SYNC_INFO: &str = "1.3.6.1.4.1.4203.1.9.1.4";

/// How an entry stands in the answer (RFC 4533, section 2.3).
const PRESENT: i64 = 0;
const DELETE: i64 = 3;

/// The words of a token.
const BY_SYNC: &str = "sync1";
const BY_TIME: &str = "time1";

/// How far back times are looked at again: clocks of several servers differ.
const OVERLAP: Duration = Duration::from_secs(10);

/// Where a directory's history stood.
enum Stand {
    /// The cookie of RFC 4533.
    Cookie(Vec<u8>),
    /// A time of the directory.
    Time(String),
}

impl Stand {
    fn read(token: &SyncToken, class: ObjectClass) -> Option<Self> {
        let (way, kept) = sync_token::read(token, class)?;
        match way {
            BY_SYNC => Some(Self::Cookie(kept.to_vec())),
            BY_TIME => {
                let time = std::str::from_utf8(kept).ok()?;
                generalized(time)?;
                Some(Self::Time(time.to_owned()))
            }
            _ => None,
        }
    }

    fn token(&self, class: ObjectClass) -> Result<SyncToken, CallError> {
        match self {
            Self::Cookie(cookie) => sync_token::write(BY_SYNC, class, cookie),
            Self::Time(time) => sync_token::write(BY_TIME, class, time.as_bytes()),
        }
    }
}

/// What has changed below the base of a class since a token.
pub(super) async fn sync(
    session: &Session<'_>,
    suffix: &str,
    class: &ClassSettings,
    token: &SyncToken,
    changes: &mut Changes,
) -> Result<SyncToken, CallError> {
    if token.is_empty() {
        return first(session, suffix, class).await;
    }
    match Stand::read(token, class.class) {
        Some(Stand::Cookie(cookie)) => by_cookie(session, class, cookie, changes).await,
        Some(Stand::Time(time)) => by_time(session, class, &time, changes).await,
        None => Err(forgotten(
            "the token is none of this connector's, or of another class",
        )),
    }
}

fn forgotten(why: &str) -> CallError {
    let message = format!("{why}: read all objects once, and begin with a new token");
    Failure::new(FailureKind::Forgotten, message).into()
}

/// Where the history stands now, without reading every entry where the directory tells it.
async fn first(
    session: &Session<'_>,
    suffix: &str,
    class: &ClassSettings,
) -> Result<SyncToken, CallError> {
    let directory = session.directory;
    let read = |error: Error| directory.read_error(&error);
    let known = session.knowledge().await.map_err(read)?;
    if known.root.has_control(SYNC_REQUEST) {
        let found = session.entry(suffix, &[CONTEXT_CSN.to_owned()]).await;
        let found = found.map_err(read)?.unwrap_or_default();
        let stands: Vec<_> = found
            .values(CONTEXT_CSN)
            .iter()
            .filter_map(|value| std::str::from_utf8(value).ok())
            .collect();
        if !stands.is_empty() {
            let cookie = format!("rid=000,csn={}", stands.join(";"));
            return Stand::Cookie(cookie.into_bytes()).token(class.class);
        }
    }
    let mut newest = BEGINNING.to_owned();
    let begun = Instant::now();
    let wanted = [MODIFIED.to_owned()];
    let search = below(&class.base, class.filter.clone(), &wanted);
    let mut found = session.stream(&search, &[]).await.map_err(read)?;
    while let Some(entry) = found.next().await.map_err(read)? {
        if let Some(time) = entry.text(MODIFIED).filter(|time| *time > newest.as_str()) {
            newest = time.to_owned();
        }
    }
    let newest = stand(BEGINNING, &newest, begun.elapsed());
    Stand::Time(newest).token(class.class)
}

/// Where the history of a directory stands that has no entry.
const BEGINNING: &str = "19700101000000Z";

/// The time that lies so much before another one; never one before 1970.
fn earlier(time: &str, by: Duration) -> String {
    let Some(moment) = generalized(time) else {
        return time.to_owned();
    };
    let from = moment.checked_sub(by).unwrap_or(SystemTime::UNIX_EPOCH);
    as_generalized(from.max(SystemTime::UNIX_EPOCH))
}

/// Where the next synchronization begins after a search that took so long: what was changed while
/// it ran may have been passed over, although something that changed later was found.
fn stand(since: &str, newest: &str, took: Duration) -> String {
    let safe = earlier(newest, took);
    if safe.as_str() > since {
        safe
    } else {
        since.to_owned()
    }
}

/// When an entry was last changed, by the directory's clock.
const MODIFIED: &str = "modifyTimestamp";

async fn by_time(
    session: &Session<'_>,
    class: &ClassSettings,
    since: &str,
    changes: &mut Changes,
) -> Result<SyncToken, CallError> {
    let directory = session.directory;
    let from = earlier(since, OVERLAP);
    let filter = Filter::And(vec![
        class.filter.clone(),
        Filter::GreaterOrEqual(MODIFIED.to_owned(), from.into_bytes()),
    ]);
    let mut wanted = directory.wanted(class, &[]);
    wanted.push(MODIFIED.to_owned());
    let begun = Instant::now();
    let read = |error: Error| directory.read_error(&error);
    let search = below(&class.base, filter, &wanted);
    let mut found = session.stream(&search, &[]).await.map_err(read)?;
    let beside = session.beside();
    let mut newest = since.to_owned();
    while let Some(entry) = found.next().await.map_err(read)? {
        if let Some(time) = entry.text(MODIFIED).filter(|time| *time > newest.as_str()) {
            newest = time.to_owned();
        }
        let object = directory.read_links(&beside, class, &entry, &[]).await?;
        changes.push(Change::Present(Box::new(object))).await?;
    }
    Stand::Time(stand(since, &newest, begun.elapsed())).token(class.class)
}

async fn by_cookie(
    session: &Session<'_>,
    class: &ClassSettings,
    cookie: Vec<u8>,
    changes: &mut Changes,
) -> Result<SyncToken, CallError> {
    let directory = session.directory;
    let read = |error: Error| {
        match error.code() {
        Some(code::SYNC_REFRESH_REQUIRED) => {
            forgotten("the directory does not remember that far back")
        }
        Some(code::SIZE_LIMIT_EXCEEDED) => Failure::rejected(
            "the directory stopped at its limit: to synchronize, the gateway's identity needs one without end (`limits … size.hard=unlimited`)",
        )
        .into(),
        _ if lacks(&error) => forgotten("the directory does not synchronize any more (RFC 4533)"),
        _ => directory.read_error(&error),
    }
    };
    let mut lease = session.lease(false).await.map_err(read)?;
    let link = lease.link().map_err(read)?;
    let search = below(
        &class.base,
        class.filter.clone(),
        &directory.wanted(class, &[]),
    );
    let controls = [request(&cookie)];
    let id = link
        .begin(search, &controls, session.deadline)
        .await
        .map_err(read)?;
    let mut refreshing = Refreshing {
        class,
        sent: cookie.clone(),
        cookie,
        changed: 0,
        session: session.beside(),
    };
    loop {
        match link.next(id, session.deadline).await.map_err(read)? {
            Item::Entry(entry, controls) => refreshing.entry(entry, &controls, changes).await?,
            Item::Intermediate {
                oid: Some(oid),
                value: Some(value),
            } if oid == SYNC_INFO => refreshing.info(value, changes).await?,
            Item::End(answer) => {
                let done = answer.control(SYNC_DONE).map(Done::read).transpose();
                let done = done.map_err(|_| directory.read_error(&senseless()))?;
                return refreshing.end(done.unwrap_or_default());
            }
            Item::Reference(_) | Item::Intermediate { .. } => {}
        }
    }
}

fn senseless() -> Error {
    garbled("the directory's word on what has changed cannot be read")
}

/// RFC 4533, section 2.2: refreshOnly.
fn request(cookie: &[u8]) -> Control {
    let mut value = Writer::default();
    value.constructed(ber::SEQUENCE, |inner| {
        inner.number(ber::ENUMERATED, 1);
        inner.octets(cookie);
    });
    Control::new(SYNC_REQUEST, Some(value.into_bytes().to_vec())).critical()
}

/// One synchronization under way.
struct Refreshing<'a> {
    class: &'a ClassSettings,
    /// The cookie of the request.
    sent: Vec<u8>,
    cookie: Vec<u8>,
    changed: usize,
    session: Session<'a>,
}

impl Refreshing<'_> {
    async fn entry(
        &mut self,
        entry: Entry,
        controls: &[Control],
        changes: &mut Changes,
    ) -> Result<(), CallError> {
        let directory = self.session.directory;
        let senseless = || directory.read_error(&senseless());
        let control = controls.iter().find(|control| control.oid == SYNC_STATE);
        let value = control.and_then(|control| control.value.clone());
        let state = value.map(|value| state(Bytes::from(value))).transpose();
        let Some((state, uuid, cookie)) = state.map_err(|_| senseless())? else {
            return Err(senseless());
        };
        if let Some(cookie) = cookie {
            self.cookie = cookie;
        }
        match state {
            // It has not changed.
            PRESENT => Err(self.forgot()),
            DELETE => self.gone(&uuid, changes).await,
            _ => {
                self.changed += 1;
                let object = directory.read_links(&self.session, self.class, &entry, &[]);
                let object = object.await?;
                Ok(changes.push(Change::Present(Box::new(object))).await?)
            }
        }
    }

    /// RFC 4533, section 2.5.
    async fn info(&mut self, value: Bytes, changes: &mut Changes) -> Result<(), CallError> {
        let directory = self.session.directory;
        let info = Info::read(value).map_err(|_| directory.read_error(&senseless()))?;
        if let Some(cookie) = info.cookie {
            self.cookie = cookie;
        }
        if info.names_present {
            return Err(self.forgot());
        }
        for uuid in info.deleted {
            self.gone(&uuid, changes).await?;
        }
        Ok(())
    }

    /// The directory names what there is, so that what it does not name is gone: it no longer
    /// remembers what was deleted.
    fn forgot(&self) -> CallError {
        forgotten(
            "the directory does not remember what was deleted since (`syncprov-sessionlog` says how long it does)",
        )
    }

    async fn gone(&mut self, uuid: &[u8], changes: &mut Changes) -> Result<(), CallError> {
        self.changed += 1;
        let id =
            ObjectId::new(uuid_text(uuid)).map_err(|error| Failure::rejected(error.to_string()))?;
        let gone = Change::Gone {
            class: self.class.class,
            id,
            name: None,
        };
        Ok(changes.push(gone).await?)
    }

    fn end(self, done: Done) -> Result<SyncToken, CallError> {
        // Where nothing has changed there is no cookie, and the former holds. One that goes on
        // without a word of what there is means that nothing is left of what there was.
        let goes_on = done.cookie.as_ref().is_some_and(|new| *new != self.sent);
        let cookie = done.cookie.unwrap_or(self.cookie);
        if !done.deletes && (self.changed > 0 || goes_on) {
            return Err(forgotten(
                "the directory gave all that it has, instead of what has changed",
            ));
        }
        Stand::Cookie(cookie).token(self.class.class)
    }
}

/// RFC 4533, section 2.4.
#[derive(Default)]
struct Done {
    cookie: Option<Vec<u8>>,
    deletes: bool,
}

impl Done {
    fn read(value: &[u8]) -> Result<Self, Malformed> {
        let mut inner = Reader::new(Bytes::copy_from_slice(value)).within(ber::SEQUENCE)?;
        Ok(Self {
            cookie: inner.optional(ber::OCTETS)?.map(|cookie| cookie.to_vec()),
            deletes: truth(&mut inner, false)?,
        })
    }
}

/// RFC 4533, section 2.5.
#[derive(Default)]
struct Info {
    cookie: Option<Vec<u8>>,
    deleted: Vec<Bytes>,
    names_present: bool,
}

impl Info {
    fn read(value: Bytes) -> Result<Self, Malformed> {
        let element = Reader::new(value).next()?.ok_or(Malformed::Missing)?;
        let mut info = Self::default();
        let mut inner = Reader::new(element.content.clone());
        match element.tag {
            0x80 => info.cookie = Some(element.content.to_vec()),
            0xa1 => info.cookie = inner.optional(ber::OCTETS)?.map(|cookie| cookie.to_vec()),
            0xa2 => info.names_present = true,
            0xa3 => {
                info.cookie = inner.optional(ber::OCTETS)?.map(|cookie| cookie.to_vec());
                let deletes = truth(&mut inner, false)?;
                info.names_present = !deletes;
                let mut set = inner.within(ber::SET)?;
                while deletes && !set.is_empty() {
                    info.deleted.push(set.expect(ber::OCTETS)?);
                }
            }
            _ => {}
        }
        Ok(info)
    }
}

/// The state, the entryUUID and the cookie of RFC 4533, section 2.3.
type EntryState = (i64, Bytes, Option<Vec<u8>>);

fn state(value: Bytes) -> Result<EntryState, Malformed> {
    let mut inner = Reader::new(value).within(ber::SEQUENCE)?;
    let state = inner.number(ber::ENUMERATED)?;
    let uuid = inner.expect(ber::OCTETS)?;
    let cookie = inner.optional(ber::OCTETS)?.map(|cookie| cookie.to_vec());
    Ok((state, uuid, cookie))
}

fn truth(inner: &mut Reader, default: bool) -> Result<bool, Malformed> {
    let value = inner.optional(ber::BOOLEAN)?;
    Ok(value.map_or(default, |value| {
        value.first().is_some_and(|byte| *byte != 0)
    }))
}

/// An entryUUID as text (RFC 4530).
fn uuid_text(bytes: &[u8]) -> String {
    let hex = data_encoding::HEXLOWER.encode(bytes);
    let mut text = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_others_are_told() {
        let class = ObjectClass::Account;
        let token = Stand::Cookie(b"rid=000,csn=x y".to_vec())
            .token(class)
            .unwrap();
        assert!(
            matches!(Stand::read(&token, class), Some(Stand::Cookie(cookie)) if cookie == b"rid=000,csn=x y")
        );
        assert!(Stand::read(&token, ObjectClass::Group).is_none());
        for other in [
            "",
            "x",
            "sync1",
            "sync2 account x",
            "time1 account yesterday",
        ] {
            let token = SyncToken::new(other.as_bytes().to_vec()).unwrap();
            assert!(Stand::read(&token, class).is_none(), "{other}");
        }
    }

    #[test]
    fn what_changes_while_a_search_runs_is_looked_at_again() {
        let took = Duration::from_secs(60);
        let since = "20261129164000Z";
        for (newest, next) in [
            ("20261129164500Z", "20261129164400Z"),
            ("20261129164500.5Z", "20261129164400Z"),
            ("20261129164030Z", since),
            (since, since),
            ("no time", "no time"),
        ] {
            assert_eq!(stand(since, newest, took), next, "{newest}");
        }
        assert_eq!(earlier(BEGINNING, OVERLAP), BEGINNING);
        assert_eq!(earlier("19700101000009Z", OVERLAP), BEGINNING);
    }

    #[test]
    fn an_id_is_written_as_the_directory_does() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(uuid_text(&bytes), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
