//! The servers of the repository.

use std::time::{Duration, Instant};

use portcullis_proto::admin::v1 as proto;

use super::LOOK;
use super::context::Context;
use super::convert::millis;
use super::error::AdminError;
use super::names;
use super::request::{About, Front, Method, Request, change, read};
use crate::config::Capability::Administrator;
use crate::repository::{NotDrained, ServerRow};

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::ListServersRequest>();
    front.offer::<proto::DrainServerRequest>();
}

impl Request for proto::ListServersRequest {
    type Answer = proto::ListServersResponse;

    const METHOD: Method = read("Servers/List", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListServersResponse, AdminError> {
        let Some(member) = &context.services.member else {
            return Ok(proto::ListServersResponse::default());
        };
        let since = |renewed: Instant| renewed.elapsed();
        let mut own = message(member.row(), member.fence().last_renewal().map(since));
        own.answers = true;
        let others = member.others();
        let others = others
            .into_iter()
            .map(|other| message(other.row, Some(other.age)));
        let mut servers: Vec<_> = others.chain([own]).collect();
        servers
            .sort_by(|one, other| (&one.name, &one.instance).cmp(&(&other.name, &other.instance)));
        Ok(proto::ListServersResponse { servers })
    }
}

impl Request for proto::DrainServerRequest {
    type Answer = proto::Server;

    const METHOD: Method = change("Servers/Drain", &[Administrator]);

    fn about(&self) -> About {
        let about = About::server(format!("server {}", names::shortened(&self.name)));
        about.shown_with(match (self.undo, self.force) {
            (true, _) => ", undone",
            (false, true) => ", forced",
            (false, false) => "",
        })
    }

    async fn run(self, context: &Context) -> Result<proto::Server, AdminError> {
        let Some(member) = &context.services.member else {
            return Err(NotDrained::OneServer.into());
        };
        let drained = member.drain(&self.name, self.undo, self.force).await?;
        let row = drained?;
        let is_own = row.instance == member.instance();
        let age = match is_own {
            true => member.fence().last_renewal().map(|sent| sent.elapsed()),
            false => {
                let others = member.others().into_iter();
                let mut ages = others.filter(|other| other.row.instance == row.instance);
                ages.next().map(|other| other.age)
            }
        };
        let mut server = message(row, age);
        server.answers = is_own;
        Ok(server)
    }
}

/// A server for the wire; of one that is alone there is no age of a beat.
fn message(row: ServerRow, age: Option<Duration>) -> proto::Server {
    let in_millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    proto::Server {
        name: row.name,
        instance: row.instance.to_string(),
        version: row.version,
        advertised: row.advertised,
        started_unix_ms: millis(row.started),
        beat_age_ms: age.map(in_millis),
        links: row.load.links,
        calls: row.load.calls,
        last_error: row.load.last_error.unwrap_or_default(),
        drained: row.drained,
        answers: false,
    }
}
