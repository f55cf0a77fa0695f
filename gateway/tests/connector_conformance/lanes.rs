//! Changes in the same lane go one after the other, all others at the same time.

use std::sync::Arc;

use portcullis_gateway::connectors::{Configured, Connectors};
use portcullis_gateway::model::{ObjectClass, Outcome, Verb as Name};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::site::{
    By, MakeSite, Replace, Site, Subject, Verb, account, call, get, provisioner, text, texts,
    update,
};
use crate::witness::{Meeting, Seen, Witness};

/// A connector of this name on a site, with a witness around it.
fn watched(site: &Site, name: &str, seen: &Arc<Seen>, meeting: Meeting) -> Configured {
    let configured = site.configured(name);
    Configured {
        connector: Arc::new(Witness {
            name: name.to_owned(),
            inner: configured.connector,
            seen: Arc::clone(seen),
            meeting,
        }),
        ..configured
    }
}

fn change(free_text: &str, name: &str, value: &str) -> Verb {
    let object = account(By::Name(name));
    update(object, Replace, free_text, vec![text(value)])
}

/// Two connectors on one site, and many changes of two accounts through both.
pub(crate) async fn changes_of_one_lane_never_overlap(site: MakeSite) {
    let Some(subject) = Subject::with(site, &[Name::Create, Name::Update]) else {
        return;
    };
    for name in ["ada", "bob"] {
        subject.make(ObjectClass::Account, name, &[]).await;
    }
    let seen = Arc::new(Seen::default());
    let mut connectors = Connectors::default();
    for name in ["one", "two"] {
        connectors = connectors.with(name, watched(&subject.site, name, &seen, Meeting::Nobody));
    }
    let provisioner = provisioner(&connectors);
    let mut changing = JoinSet::new();
    for number in 0..12 {
        let connector = ["one", "two"][number % 2];
        let name = ["ada", "bob"][number / 2 % 2];
        let verb = change(subject.site.free_text, name, &format!("value {number}"));
        let provisioner = provisioner.clone();
        changing.spawn(async move { provisioner.execute(call(connector, verb)).await });
    }
    for outcome in changing.join_all().await {
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    assert_eq!(*seen.collisions.lock().unwrap(), Vec::<String>::new());
    for name in ["ada", "bob"] {
        let object = subject.object(get(account(By::Name(name)))).await;
        let value = texts(&object, subject.site.free_text);
        assert!(value.concat().starts_with("value "), "{value:?}");
    }
}

/// On two sites: each change waits within the resource until the other is there too.
pub(crate) async fn changes_of_different_lanes_do(site: MakeSite) {
    let needed = [Name::Create, Name::Update];
    let subjects = (Subject::with(site, &needed), Subject::with(site, &needed));
    let (Some(here), Some(there)) = subjects else {
        return;
    };
    for subject in [&here, &there] {
        subject.make(ObjectClass::Account, "ada", &[]).await;
    }
    let seen = Arc::new(Seen::default());
    let barrier = Arc::new(Barrier::new(2));
    let meeting = || Meeting::At(Arc::clone(&barrier));
    let connectors = Connectors::default()
        .with("here", watched(&here.site, "here", &seen, meeting()))
        .with("there", watched(&there.site, "there", &seen, meeting()));
    let provisioner = provisioner(&connectors);
    let change = |connector: &'static str| {
        let verb = change(here.site.free_text, "ada", "value");
        let provisioner = provisioner.clone();
        async move { provisioner.execute(call(connector, verb)).await }
    };
    let outcomes = tokio::join!(change("here"), change("there"));
    for outcome in [outcomes.0, outcomes.1] {
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    assert_eq!(*seen.collisions.lock().unwrap(), Vec::<String>::new());
}
