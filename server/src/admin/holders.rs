//! Which of several servers has the link to a gateway, by their names.

use std::collections::HashMap;

use portcullis_common::id::GatewayId;

use crate::repository::{HeldLink, InstanceId, RepositoryError};
use crate::services::Services;

/// Who has the link to one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    /// The name of the server; empty: nobody, or there is only one server.
    pub(super) server: String,
    /// What the row says of a link that another server has.
    pub(super) elsewhere: Option<HeldLink>,
}

/// The servers that stand, by their instances.
#[derive(Debug, Default)]
pub(super) struct Holders {
    own: String,
    others: HashMap<InstanceId, String>,
}

impl Holders {
    /// Those of this server's repository.
    pub(super) fn of(services: &Services) -> Self {
        let member = services.member.as_ref();
        let Some(member) = member.filter(|member| member.fence().has_beats()) else {
            return Self::default();
        };
        let others = member.others().into_iter();
        Self {
            own: member.name().to_owned(),
            others: others
                .map(|other| (other.row.instance, other.row.name))
                .collect(),
        }
    }

    /// Every row that may be of another server's link.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) async fn rows(
        &self,
        services: &Services,
    ) -> Result<HashMap<GatewayId, HeldLink>, RepositoryError> {
        if self.others.is_empty() {
            return Ok(HashMap::new());
        }
        let places = services.repository.gateways().link_places().await?;
        let rows = places.into_iter();
        let rows = rows.filter_map(|place| Some((place.gateway_id, place.link?)));
        Ok(rows.collect())
    }

    /// The row of one gateway's link, where it may be another server's.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) async fn row(
        &self,
        services: &Services,
        gateway: GatewayId,
    ) -> Result<Option<HeldLink>, RepositoryError> {
        match self.others.is_empty() {
            true => Ok(None),
            false => services.repository.gateways().link(gateway).await,
        }
    }

    /// Who has a link with this row, or this server where it is `linked` itself.
    pub(super) fn holder(&self, row: Option<HeldLink>, linked: bool) -> Holder {
        if linked {
            return Holder {
                server: self.own.clone(),
                elsewhere: None,
            };
        }
        let up = row.filter(|row| row.up);
        match up.and_then(|row| Some((row, self.others.get(&row.holder)?))) {
            Some((row, server)) => Holder {
                server: server.clone(),
                elsewhere: Some(row),
            },
            None => Holder::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::rotation::UnixMillis;

    use super::*;

    #[test]
    fn a_link_is_told_of_the_server_that_has_it_while_that_one_stands() {
        let (other, gone) = (InstanceId::random(), InstanceId::random());
        let holders = Holders {
            own: "one".to_owned(),
            others: HashMap::from([(other, "two".to_owned())]),
        };
        let row = |holder, up| {
            Some(HeldLink {
                holder,
                epoch: 3,
                up,
                since: UnixMillis(7),
                for_one_server: false,
            })
        };
        let own = holders.holder(row(other, true), true);
        assert_eq!((own.server.as_str(), own.elsewhere), ("one", None));
        let elsewhere = holders.holder(row(other, true), false);
        assert_eq!(elsewhere.server, "two");
        assert_eq!(elsewhere.elsewhere, row(other, true));
        for nobody in [row(other, false), row(gone, true), None] {
            assert_eq!(holders.holder(nobody, false), Holder::default());
        }
        assert_eq!(Holders::default().holder(None, true), Holder::default());
    }
}
