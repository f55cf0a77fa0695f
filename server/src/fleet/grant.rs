//! A link counts as live once its gateway has taken the grant: from then on the gateway carries out
//! no call of another server.

use portcullis_proto::gateway::v1::{GrantRequest, GrantResponse};
use tonic::Code;

use super::Fleet;
use super::establish::{LinkError, in_time};
use super::link::Link;
use crate::repository::Grant;

/// What a gateway's answer to a grant means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Taken,
    /// Another server said that it has the same.
    Same,
    /// It has seen a higher one: generation and epoch.
    Higher((u64, u64)),
    /// A gateway that keeps to the rules answers none of that.
    Nonsense,
}

impl Answer {
    fn of(asked: &Grant, highest: &GrantResponse) -> Self {
        let own = (asked.generation, asked.epoch);
        let seen = (highest.generation, highest.epoch);
        if seen > own {
            Self::Higher(seen)
        } else if seen < own {
            Self::Nonsense
        } else if highest.instance == asked.instance {
            Self::Taken
        } else {
            Self::Same
        }
    }
}

impl Fleet {
    /// Tells a gateway that this instance has its link.
    ///
    /// # Errors
    /// [`LinkError`]: it has not taken that, and the link is closed.
    pub(super) async fn be_granted(&self, link: &Link) -> Result<(), LinkError> {
        let granted = self.ask_for_grant(link).await;
        if granted.is_err() {
            link.session().close();
        }
        granted
    }

    async fn ask_for_grant(&self, link: &Link) -> Result<(), LinkError> {
        let Some(grant) = link.grant() else {
            return Ok(());
        };
        let request = GrantRequest {
            generation: grant.generation,
            epoch: grant.epoch,
            instance: grant.instance.to_vec(),
        };
        let asking = async {
            match link.control().grant(request).await {
                // It is of an earlier version.
                Err(status) if status.code() == Code::Unimplemented => Ok(None),
                answer => answer.map(|answer| Some(answer.into_inner())),
            }
        };
        let answer = in_time(asking).await.map_err(|error| match error {
            LinkError::Control(why) => LinkError::NotGranted(why),
            other => other,
        })?;
        let Some(highest) = answer else {
            if self.inner.shares.is_some() {
                let gateways = self.inner.repository.gateways();
                gateways.knows_no_grants(link.gateway_id()).await?;
            }
            return Ok(());
        };
        match Answer::of(&grant, &highest) {
            Answer::Taken => {
                link.set_granted();
                Ok(())
            }
            Answer::Same => {
                self.two_servers(link, &grant).await;
                Err(LinkError::TwoServers)
            }
            Answer::Higher(seen) => Err(self.overtaken(link, &grant, seen).await?),
            Answer::Nonsense => Err(LinkError::NotGranted(
                "its answer is a lower one: install the same version on both sides".to_owned(),
            )),
        }
    }

    /// Another server has the link meanwhile, as the repository says; or the gateway has seen what
    /// the repository does not know.
    async fn overtaken(
        &self,
        link: &Link,
        grant: &Grant,
        seen: (u64, u64),
    ) -> Result<LinkError, LinkError> {
        let gateways = self.inner.repository.gateways();
        let now = gateways.grant(link.gateway_id()).await?;
        let own = now.map_or((grant.generation, grant.epoch), |now| {
            (now.generation, now.epoch)
        });
        if own >= seen {
            return Ok(LinkError::Overtaken);
        }
        self.went_back(link, seen, own).await;
        Ok(LinkError::WentBack { seen, own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_grant_that_was_asked_for_is_taken() {
        let asked = Grant {
            generation: 1,
            epoch: 5,
            instance: [7; 16],
        };
        for (generation, epoch, instance, answer) in [
            (1, 5, vec![7; 16], Answer::Taken),
            (1, 5, vec![8; 16], Answer::Same),
            (1, 5, Vec::new(), Answer::Same),
            (1, 6, vec![7; 16], Answer::Higher((1, 6))),
            (2, 1, vec![8; 16], Answer::Higher((2, 1))),
            (1, 4, vec![7; 16], Answer::Nonsense),
            (0, 9, vec![7; 16], Answer::Nonsense),
        ] {
            let highest = GrantResponse {
                generation,
                epoch,
                instance,
            };
            assert_eq!(Answer::of(&asked, &highest), answer, "{highest:?}");
        }
    }
}
