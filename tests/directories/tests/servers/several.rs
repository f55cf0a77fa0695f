//! Three servers share one repository and its gateways, and forward to one another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_proto::admin::v1::{self as proto, ListGatewaysRequest};
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_tests::harness::{Admin, Dial, Gateway, Scripts, Server, eventually, free_port};
use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::Central;

/// Within so long the gateways of a server that died are linked to another.
const LINKED_AGAIN: Duration = Duration::from_secs(20);
/// Gateways of each direction.
const INWARD: usize = 4;
const OUTWARD: usize = 2;

/// `[peers]` of a server of this name, which the others reach.
fn reached(name: &str) -> String {
    let port = free_port();
    format!(
        "[server]\nname = \"{name}\"\n[peers]\nlisten = \"127.0.0.1:{port}\"\nadvertise = \"127.0.0.1:{port}\"\n"
    )
}

struct Several {
    gateways: Vec<(Gateway, Scripts)>,
    others: Vec<(&'static str, Server, Admin)>,
    central: Central,
}

impl Several {
    /// The first server alone with its gateways, of which those that dial out know all servers.
    async fn start() -> Self {
        let central = Central::with(&reached("one")).await;
        let mut others = Vec::new();
        for name in ["two", "three"] {
            let server = central.another_with(name, &reached(name));
            let admin = Admin::new(&server.socket);
            others.push((name, server, admin));
        }
        let mut gateways = Vec::new();
        for number in 0..INWARD + OUTWARD {
            let out = number >= INWARD;
            gateways.push(gateway(&central, &others, &format!("host{number}"), out).await);
        }
        Self {
            gateways,
            others,
            central,
        }
    }

    fn admins(&self) -> Vec<Admin> {
        let others = self.others.iter().map(|(_, _, admin)| admin.clone());
        [self.central.admin.clone()]
            .into_iter()
            .chain(others)
            .collect()
    }

    /// By gateway, the name of the server that has its link, as the server behind `admin` tells.
    async fn holders(admin: &Admin) -> Option<BTreeMap<String, String>> {
        let request = ListGatewaysRequest::default();
        let listed = admin.gateways().list(request).await.ok()?.into_inner();
        let up = listed.gateways.into_iter().filter(|it| it.connected);
        Some(up.map(|gateway| (gateway.name, gateway.server)).collect())
    }

    /// Waits until each gateway has a link to a server that `may` have it.
    async fn all_linked(&self, admin: &Admin, may: impl Fn(&str) -> bool) {
        eventually("all gateways to be linked", async || {
            let holders = Self::holders(admin).await?;
            let linked = holders.values().filter(|server| may(server)).count();
            (linked == self.gateways.len()).then_some(())
        })
        .await;
    }

    /// Calls all gateways through these servers, again and again, until it is told to stop.
    fn calling(&self, admins: Vec<(&'static str, Admin)>) -> Calling<Told> {
        let ended = Arc::new(AtomicBool::new(false));
        let made = Arc::new(AtomicUsize::new(0));
        let names: Vec<_> = self
            .gateways
            .iter()
            .map(|(it, _)| it.name.clone())
            .collect();
        let each = admins.into_iter().map(|(server, admin)| {
            let (ended, made, names) = (Arc::clone(&ended), Arc::clone(&made), names.clone());
            tokio::spawn(async move {
                let mut told = Vec::new();
                for gateway in names.iter().cycle() {
                    if ended.load(Ordering::Acquire) {
                        break;
                    }
                    let id = format!("{server}-{}", made.fetch_add(1, Ordering::AcqRel));
                    let call = Scripts::call("record", &id);
                    let outcome = admin.try_call(gateway, call).await;
                    let outcome = outcome.map(|outcome| outcome.result);
                    told.push(Told {
                        id,
                        gateway: gateway.clone(),
                        outcome: match outcome {
                            Ok(Some(OutcomeResult::Done(_))) => Ok(()),
                            Ok(other) => Err(format!("{other:?}")),
                            Err(status) => Err(status.message().to_owned()),
                        },
                    });
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                told
            })
        });
        Calling {
            each: each.collect(),
            ended,
        }
    }

    /// How often each call was carried out, by whichever gateway.
    fn executed(&self) -> BTreeMap<String, usize> {
        let all = self.gateways.iter().flat_map(|(_, it)| it.executed());
        all.fold(BTreeMap::new(), |mut all, (id, times)| {
            *all.entry(id).or_default() += times;
            all
        })
    }

    fn server_of(&self, name: &str) -> &Server {
        let mut others = self.others.iter();
        let other = others.find(|(it, ..)| *it == name);
        other.map_or(&self.central.server, |(_, server, _)| server)
    }

    fn server(&mut self, name: &str) -> &mut Server {
        match self.others.iter_mut().find(|(it, ..)| *it == name) {
            Some((_, server, _)) => server,
            None => &mut self.central.server,
        }
    }
}

/// What was told of a call.
struct Told {
    id: String,
    gateway: String,
    outcome: Result<(), String>,
}

/// Those who call, and what they are told, until they are to end.
pub(crate) struct Calling<T> {
    pub(crate) each: Vec<JoinHandle<Vec<T>>>,
    pub(crate) ended: Arc<AtomicBool>,
}

impl<T> Calling<T> {
    pub(crate) async fn end(self) -> Vec<T> {
        self.ended.store(true, Ordering::Release);
        let mut told = Vec::new();
        for one in self.each {
            told.extend(one.await.unwrap());
        }
        told
    }
}

async fn gateway(
    central: &Central,
    others: &[(&'static str, Server, Admin)],
    name: &str,
    out: bool,
) -> (Gateway, Scripts) {
    let scripts = Scripts::new(&central.site, &format!("{name}-scripts"));
    let dial = match out {
        true => Dial::Out(central.server.dial_out_port),
        false => Dial::inward(),
    };
    let mut gateway = Gateway::new(&central.site, name, dial, &scripts.config());
    if out {
        let others = others.iter().map(|(_, server, _)| server.dial_out_port);
        let others: Vec<_> = others.map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let config = std::fs::read_to_string(&gateway.config).unwrap();
        let named = format!("others = [{}]\n[log]", others.join(", "));
        std::fs::write(&gateway.config, config.replacen("[log]", &named, 1)).unwrap();
    }
    let token = central
        .admin
        .add_gateway(name, &dial.address(), false)
        .await;
    gateway.enroll(&token);
    gateway.start();
    central.admin.synchronized(name).await;
    central
        .admin
        .add_resource(name, name, Scripts::CONNECTOR)
        .await;
    (gateway, scripts)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn three_servers_share_their_gateways_whichever_of_them_is_asked_or_dies() {
    let mut several = Several::start().await;
    let calling = several.calling(vec![("one", several.central.admin.clone())]);
    for (_, server, _) in &mut several.others {
        server.serve().await;
    }
    // Each tells of all servers and of all links.
    for admin in several.admins() {
        several
            .all_linked(&admin, |server| !server.is_empty())
            .await;
    }
    // With its next beat, one knows of those that came.
    eventually("all servers to be listed", async || {
        let listed = several.central.server.portcullis("server list").ok().stdout;
        let names = ["one", "two", "three"];
        names.iter().all(|name| listed.contains(name)).then_some(())
    })
    .await;
    // A new one takes its share a few seconds after it has come, and no call fails by that.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let told = calling.end().await;
    assert!(told.len() > 5, "{} calls", told.len());
    for told in told {
        assert_eq!(told.outcome, Ok(()), "{} on {}", told.id, told.gateway);
    }
    for (number, admin) in several.admins().into_iter().enumerate() {
        for (gateway, _) in &several.gateways {
            let id = format!("through-{number}-{}", gateway.name);
            let call = Scripts::call("record", &id);
            let outcome = admin.call(&gateway.name, call).await;
            let done = matches!(outcome.result, Some(OutcomeResult::Done(_)));
            assert!(done, "{id}: {outcome:?}");
            let request = proto::PingGatewayRequest {
                name: gateway.name.clone(),
            };
            admin.gateways().ping(request).await.unwrap();
        }
    }

    // Each asks the gateways whose links it has, whichever is asked for a new key.
    for admin in several.admins() {
        let report = admin.rotate(30_000).await;
        assert_eq!(report.synchronized, report.total, "{report:?}");
        assert_eq!(report.total as usize, several.gateways.len());
    }

    // One is killed and another stands still, both with gateways where they have any.
    let holders = Several::holders(&several.central.admin).await.unwrap();
    let mut names = vec!["one", "two", "three"];
    names.sort_by_key(|name| std::cmp::Reverse(holders.values().filter(|it| it == name).count()));
    let [killed, still, left] = names[..] else {
        panic!("{names:?}");
    };
    let admin = Admin::new(&several.server(left).socket);
    let calling = several.calling(vec![(left, admin.clone())]);
    let began = Instant::now();
    several.server(killed).kill();
    several
        .server(still)
        .process
        .as_ref()
        .unwrap()
        .signal(Signal::STOP);
    several.all_linked(&admin, |server| server == left).await;
    let took = began.elapsed();
    assert!(took < LINKED_AGAIN, "{took:?}");
    let process = several.server(still).process.as_mut().unwrap();
    process.signal(Signal::CONT);
    assert!(!process.wait().success());
    let told = calling.end().await;
    let executed = several.executed();
    assert!(executed.values().all(|times| *times == 1), "{executed:?}");
    let done = told.iter().filter(|told| told.outcome.is_ok());
    for told in done {
        assert_eq!(executed.get(&told.id), Some(&1), "{}", told.id);
    }
    // What nobody knew at first is found out: each call has one end.
    eventually("every call to have an outcome", async || {
        let open = several
            .server_of(left)
            .portcullis("call list --state unknown")
            .stdout;
        (!open.contains("host")).then_some(())
    })
    .await;
    for (gateway, _) in &several.gateways {
        let call = Scripts::call("record", &format!("last-{}", gateway.name));
        let outcome = admin.call(&gateway.name, call).await;
        let done = matches!(outcome.result, Some(OutcomeResult::Done(_)));
        assert!(done, "{outcome:?}");
    }
    several.server_of(left).portcullis("audit verify").ok();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_server_stopped_in_good_order_hands_its_links_over_without_a_call_failing() {
    let mut several = Several::start().await;
    let (_, two, admin) = &mut several.others[0];
    two.serve().await;
    let admin = admin.clone();
    let calling = several.calling(vec![("two", admin.clone())]);
    let stopped = several
        .central
        .server
        .process
        .take()
        .map(|mut process| tokio::task::spawn_blocking(move || process.stop()));
    assert!(stopped.unwrap().await.unwrap().success());
    several.all_linked(&admin, |server| server == "two").await;
    let told = calling.end().await;
    for told in told {
        assert_eq!(told.outcome, Ok(()), "{} on {}", told.id, told.gateway);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_drained_server_answers_while_others_have_its_links_until_that_is_undone() {
    let mut several = Several::start().await;
    let one = several.central.admin.clone();
    let refused = |server: &Server, command: &str, why: &str| {
        let refusal = server.portcullis(command).refused().stderr;
        assert!(refusal.contains(why), "{command}: {refusal}");
    };
    let central = &several.central.server;
    refused(central, "server drain nobody", "no server `nobody`");
    refused(central, "server drain one", "no other server could take");
    let undo = "server drain one --undo";
    refused(central, undo, "is not drained: there is nothing to undo");
    let (_, two, admin) = &mut several.others[0];
    two.serve().await;
    let two_admin = admin.clone();
    let calling = several.calling(vec![("one", one.clone()), ("two", two_admin.clone())]);
    let two = several.server_of("two");
    eventually("two to know of one", async || {
        let listed = two.portcullis("server list").ok().stdout;
        (listed.contains("one") && listed.contains("two")).then_some(())
    })
    .await;
    // By whichever server.
    two.portcullis("server drain one").ok();
    refused(two, "server drain one", "is drained already");
    refused(two, "server drain two", "no other server could take");
    several.all_linked(&one, |server| server == "two").await;
    eventually("nothing to be left on the drained one", async || {
        let listed = two.portcullis("server list").ok().stdout;
        let line = listed.lines().find(|line| line.starts_with("one"))?;
        line.trim_end().ends_with("drained").then_some(())
    })
    .await;
    // Whichever is asked, no gateway is missed because another server has its link.
    for admin in [&one, &two_admin] {
        let request = proto::KeyStatusRequest::default();
        let keys = admin.keys().status(request).await.unwrap().into_inner();
        let keys = keys.gateway_keys.unwrap();
        assert_eq!((keys.enrolled, keys.away), (6, 0));
        let status = admin.system().status(proto::StatusRequest {}).await;
        let counts = status.unwrap().into_inner().gateways.unwrap();
        assert_eq!((counts.up, counts.down), (6, 0));
    }
    // It answers, and what it takes in is begun by the other one.
    let central = &several.central.server;
    central.portcullis("key verify").ok();
    central.portcullis("gateway list").ok();
    let told = calling.end().await;
    assert!(told.len() > 10, "{} calls", told.len());
    for told in told {
        assert_eq!(told.outcome, Ok(()), "{} on {}", told.id, told.gateway);
    }
    // A gateway that dials out comes back to the other one.
    let (out, _) = several.gateways.last_mut().unwrap();
    out.process.take().map(|mut process| process.stop());
    out.start();
    several.all_linked(&one, |server| server == "two").await;
    let central = &several.central.server;
    central.portcullis(undo).ok();
    eventually("its share to come back", async || {
        let holders = Several::holders(&one).await?;
        let mut holders = holders.values();
        holders.any(|server| server == "one").then_some(())
    })
    .await;
    // Drained, stopped and started: it works again.
    central.portcullis("server drain one").ok();
    let mut process = several.central.server.process.take().unwrap();
    let stopped = tokio::task::spawn_blocking(move || process.stop());
    assert!(stopped.await.unwrap().success());
    several.central.server.serve().await;
    let listed = several.central.server.portcullis("server list").ok().stdout;
    assert!(!listed.contains("drain"), "{listed}");
    several.server_of("two").portcullis("audit verify").ok();
}
