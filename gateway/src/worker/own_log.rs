//! The log of this process, as a server is shown it, and what a server has logged besides.

use std::sync::Arc;
use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_host::log::{self, Line, MoreLog, NoMoreLog};
use portcullis_proto::control::MAX_LOG;
use portcullis_proto::gateway::v1 as wire;
use tracing::info;

use super::more_log::More;

/// Why there is none for a server.
pub(crate) const KEPT: &str =
    "its configuration keeps the log from servers: log.for_server = false";

/// The log of this process, where its configuration lets servers have it.
#[derive(Debug, Default)]
pub struct OwnLog {
    more: Arc<More>,
}

impl OwnLog {
    /// Its last lines, oldest first: `most` at the most.
    pub(crate) fn lines(&self, most: u32) -> Vec<Line> {
        log::tail(usize::try_from(most).unwrap_or(usize::MAX), MAX_LOG)
    }

    /// What is logged besides now.
    pub(crate) fn more(&self) -> Option<wire::MoreLogged> {
        let (filter, left) = self.more.standing()?;
        Some(wire::MoreLogged {
            filter,
            left_ms: left.as_millis().try_into().unwrap_or(u32::MAX),
        })
    }

    /// Logs more, or no longer, as a server asks; and says what holds then.
    ///
    /// # Errors
    /// [`NoMoreLog`], and nothing is changed.
    pub(crate) fn take(
        &self,
        server: ServerId,
        request: &wire::LogMoreRequest,
    ) -> Result<Option<wire::MoreLogged>, NoMoreLog> {
        if request.for_ms == 0 {
            if self.more.end() {
                info!(%server, "the server has ended what was logged besides");
            }
            return Ok(None);
        }
        let more: MoreLog = request.filter.parse()?;
        let lasting = Duration::from_millis(request.for_ms.into());
        info!(
            %server, filter = %more, seconds = lasting.as_secs(),
            "the server has more logged for a time"
        );
        self.more.begin(more, lasting);
        Ok(self.more())
    }
}
