//! Servers on one database, and one in a file. Where there is no database, the former return at
//! once.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::sleep;

use super::*;
use crate::repository::{on_postgres, tamper, test_place};

/// Longer than any of these waits takes.
const LONG: Duration = Duration::from_secs(30);

/// A repository of its own.
struct Site {
    store: Store,
    folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        Database::create(&path).await.unwrap().close().await;
        Self {
            store: test_place(&path),
            folder,
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("test.db")
    }

    /// A server of this name comes, and waits for nobody.
    async fn come(
        &self,
        name: &str,
        lock_file: Option<&[u8]>,
    ) -> Result<(Database, Member), RepositoryError> {
        open(&self.store, arrival(name, lock_file), None, None).await
    }

    /// A server of this name comes beside those that there are.
    async fn come_beside(&self, name: &str) -> (Database, Member) {
        beside(&self.store, name).await
    }
}

/// A server of this name comes beside those that there are.
pub(crate) async fn beside(store: &Store, name: &str) -> (Database, Member) {
    let rows = ServerRows::open(store).unwrap().unwrap();
    let fence = Fence::shared();
    let served = Database::serve(store, Arc::new(fence.clone()), None);
    let database = served.await.unwrap();
    let member = Member::new(rows, fence, arrival(name, None), &database);
    let (inner, sent) = (&member.inner, Instant::now());
    let joined = inner.rows.join(inner.own.clone(), |_| false).await;
    assert!(joined.unwrap().is_none());
    inner.fence.renewed(sent);
    let beating = tokio::spawn(beats::keep(Arc::downgrade(inner)));
    *lock(&inner.beating) = Some(beating.abort_handle());
    (database, member)
}

fn arrival(name: &str, lock_file: Option<&[u8]>) -> Arrival {
    Arrival {
        name: name.to_owned(),
        advertised: String::new(),
        lock_file: lock_file.map(<[u8]>::to_vec),
    }
}

/// The same of one that others reach.
fn reached(name: &str) -> Arrival {
    Arrival {
        advertised: format!("{name}:9282"),
        ..arrival(name, Some(name.as_bytes()))
    }
}

/// Writes something.
async fn write(database: &Database) -> Result<(), RepositoryError> {
    database.meta().set_server_time(1, 1).await
}

async fn rows(database: &Database, member: &Member) -> Vec<ServerRow> {
    assert_eq!(database.instance(), member.instance());
    member.inner.rows.list().await.unwrap()
}

#[tokio::test]
async fn in_a_file_there_is_the_row_of_the_last_start_and_no_beat() {
    if on_postgres() {
        return;
    }
    let site = Site::new().await;
    let (database, first) = site.come("one", None).await.unwrap();
    assert!(first.fence().may_dispatch(Instant::now()) && !first.fence().has_beats());
    // One that was killed.
    database.close().await;
    let second = open(&site.store, reached("two"), None, None).await;
    let (database, second) = second.unwrap();
    let found = rows(&database, &second).await;
    assert_eq!(found.len(), 1);
    let row = found.first().unwrap();
    assert_eq!((row.instance, &*row.name), (second.instance(), "two"));
    assert_eq!(row.advertised, "two:9282");
    write(&database).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused_while_the_first_beats_and_comes_when_it_leaves() {
    let site = Site::new().await;
    if !on_postgres() {
        return;
    }
    let (database, first) = site.come("one", Some(b"a")).await.unwrap();
    let refused = site.come("two", Some(b"b")).await.map(drop);
    assert!(
        matches!(&refused, Err(RepositoryError::Taken { by, .. }) if by == "one"),
        "{refused:?}"
    );
    write(&database).await.unwrap();
    let told = AtomicU32::new(0);
    let waiting = |by: &str| {
        assert_eq!(by, "one");
        told.fetch_add(1, Ordering::Relaxed);
    };
    let standing_by = open(
        &site.store,
        arrival("two", Some(b"b")),
        Some(&waiting),
        None,
    );
    let leaves = async {
        sleep(Duration::from_secs(3)).await;
        database.close().await;
        first.leave().await;
    };
    let (second, ()) = tokio::join!(timeout(LONG, standing_by), leaves);
    let (database, second) = second.unwrap().unwrap();
    assert!(told.load(Ordering::Relaxed) > 2);
    write(&database).await.unwrap();
    assert_eq!(rows(&database, &second).await.len(), 1);
    database.close().await;
    second.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_reach_one_another_work_side_by_side_and_one_that_does_not_is_kept_out() {
    let site = Site::new().await;
    if !on_postgres() {
        return;
    }
    let come = async |arrival| open(&site.store, arrival, None, None).await;
    let (database, first) = come(reached("one")).await.unwrap();
    let (beside, second) = come(reached("two")).await.unwrap();
    write(&database).await.unwrap();
    write(&beside).await.unwrap();
    // The one that came knows the other from the start, and that one with its next beat.
    let names = |member: &Member| -> Vec<String> {
        let others = member.others().into_iter();
        others.map(|other| other.row.name).collect()
    };
    assert_eq!(names(&second), ["one"]);
    assert!(timeout(LONG, first.renew()).await.unwrap());
    assert_eq!(names(&first), ["two"]);
    let refused = come(arrival("three", Some(b"c"))).await.map(drop);
    assert!(
        matches!(&refused, Err(RepositoryError::Taken { .. })),
        "{refused:?}"
    );
    // One that is about to end says so.
    second.hand_over().await;
    assert!(second.leaves() && !first.leaves());
    assert!(timeout(LONG, first.renew()).await.unwrap());
    assert!(first.others().iter().all(|other| other.row.drained));
    second.leave().await;
    // Nor is anybody let in beside one that is reached by nobody.
    database.close().await;
    first.leave().await;
    let (_database, _alone) = come(arrival("three", Some(b"c"))).await.unwrap();
    let refused = come(reached("one")).await.map(drop);
    assert!(
        matches!(&refused, Err(RepositoryError::Taken { by, .. }) if by == "three"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_the_lock_file_of_a_former_one_ends_it_at_once() {
    let site = Site::new().await;
    if !on_postgres() {
        return;
    }
    let (former, killed) = site.come("one", Some(b"a")).await.unwrap();
    let began = Instant::now();
    let (database, again) = site.come("one", Some(b"a")).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    write(&database).await.unwrap();
    // Whatever is left of the former writes nothing, and finds out by itself.
    let told = write(&former).await;
    assert!(matches!(told, Err(RepositoryError::TakenOver)), "{told:?}");
    timeout(LONG, killed.gone()).await.unwrap();
    assert!(killed.fence().is_gone() && !former.may_act());
    // It has nothing to take away any more.
    killed.leave().await;
    assert_eq!(rows(&database, &again).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_beat_stands_is_ended_and_taken_over_from() {
    let site = Site::new().await;
    if !on_postgres() {
        return;
    }
    let (former, stopped) = site.come("one", None).await.unwrap();
    if let Some(beating) = lock(&stopped.inner.beating).take() {
        beating.abort();
    }
    let began = Instant::now();
    let came = timeout(LONG, site.come("two", None)).await.unwrap();
    let (database, second) = came.unwrap();
    assert!(began.elapsed() >= ENDED_AFTER, "{:?}", began.elapsed());
    // Before that, it has stopped by itself.
    assert!(!stopped.fence().may_dispatch(Instant::now()));
    assert!(!former.may_act() && former.state().is_none());
    let told = write(&former).await;
    assert!(matches!(told, Err(RepositoryError::TakenOver)), "{told:?}");
    write(&database).await.unwrap();
    assert_eq!(second.others().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn beats_go_on_while_a_batch_is_held_up_and_end_with_the_row() {
    let site = Site::new().await;
    if !on_postgres() {
        return;
    }
    let (database, member) = site.come("one", None).await.unwrap();
    let asked = Instant::now();
    assert!(timeout(LONG, member.renew()).await.unwrap());
    assert!(asked.elapsed() < Duration::from_secs(1));
    let first = member.fence().last_renewal().unwrap();
    assert!(first >= asked);
    member.tells(|| Load {
        links: 3,
        ..Load::default()
    });
    let renewed = async {
        while member.fence().last_renewal() == Some(first) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, renewed).await.unwrap();
    let found = rows(&database, &member).await;
    assert_eq!(found.first().unwrap().load.links, 3);
    // Another program that beats in its place is found out, too.
    let beat = "UPDATE servers SET beat = x'00000000000000000000000000000000'";
    tamper(Path::new(&site.path()), beat);
    timeout(LONG, member.gone()).await.unwrap();
    assert!(member.fence().is_gone() && !member.renew().await);
    let told = write(&database).await;
    assert!(matches!(told, Err(RepositoryError::TakenOver)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_waits_for_a_server_that_beats_and_ends_one_that_is_silent() {
    let site = Site::new().await;
    if !on_postgres() {
        return;
    }
    let (_one, one) = site.come_beside("one").await;
    let (two, second) = site.come_beside("two").await;
    one.has_seen(7).await.unwrap();
    let moment = Duration::from_millis(300);
    let waited = one.until_seen(7, moment).await.unwrap();
    assert_eq!(waited, Err(vec!["two".to_owned()]));
    second.has_seen(7).await.unwrap();
    assert_eq!(one.until_seen(7, moment).await.unwrap(), Ok(()));
    // What it has seen is never taken back.
    second.has_seen(6).await.unwrap();
    assert_eq!(one.until_seen(7, moment).await.unwrap(), Ok(()));
    one.has_seen(8).await.unwrap();
    if let Some(beating) = lock(&second.inner.beating).take() {
        beating.abort();
    }
    let began = Instant::now();
    assert_eq!(one.until_seen(8, LONG).await.unwrap(), Ok(()));
    assert!(began.elapsed() > ENDED_AFTER / 2, "{:?}", began.elapsed());
    let told = write(&two).await;
    assert!(matches!(told, Err(RepositoryError::TakenOver)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_drained_while_another_stays_and_works_again_once_that_is_undone() {
    let site = Site::new().await;
    if !on_postgres() {
        let (_database, alone) = site.come("one", None).await.unwrap();
        let refused = alone.drain("one", false, true).await.unwrap();
        assert_eq!(refused.map(drop), Err(NotDrained::OneServer));
        return;
    }
    let (_one, one) = site.come_beside("one").await;
    let name = || "one".to_owned();
    let drain = async |member: &Member, server: &str, undo, force| {
        let drained = member.drain(server, undo, force).await.unwrap();
        drained.map(|row| row.drained)
    };
    assert_eq!(
        drain(&one, "none", false, true).await,
        Err(NotDrained::Unknown("none".to_owned()))
    );
    assert_eq!(
        drain(&one, "one", false, false).await,
        Err(NotDrained::NoHeir(name()))
    );
    let (_two, two) = site.come_beside("two").await;
    assert_eq!(drain(&two, "one", false, false).await, Ok(true));
    assert_eq!(
        drain(&two, "one", false, true).await,
        Err(NotDrained::Already(name()))
    );
    // Nobody is left for the other one.
    let refused = drain(&one, "two", false, false).await;
    assert_eq!(refused, Err(NotDrained::NoHeir("two".to_owned())));
    assert!(timeout(LONG, one.renew()).await.unwrap());
    assert!(one.leaves() && one.row().drained && !two.leaves());
    assert!(two.others().iter().all(|other| other.row.drained));
    // By its instance, and at once where it is asked itself.
    let instance = one.instance().to_string();
    assert_eq!(drain(&one, &instance, true, false).await, Ok(false));
    assert!(!one.leaves());
    assert_eq!(
        drain(&one, "one", true, false).await,
        Err(NotDrained::NotDrained(name()))
    );
    let (_same, same) = site.come_beside("one").await;
    let refused = drain(&one, "one", false, false).await;
    let count = 2;
    assert_eq!(
        refused,
        Err(NotDrained::Ambiguous {
            name: name(),
            count
        })
    );
    same.leave().await;
    // One that is about to end is put to work by nobody.
    one.hand_over().await;
    assert_eq!(drain(&two, "one", true, false).await, Ok(false));
    assert!(timeout(LONG, one.renew()).await.unwrap());
    assert!(timeout(LONG, two.renew()).await.unwrap());
    assert!(one.leaves() && two.others().iter().all(|other| other.row.drained));
}
