//! The log of a gateway, read and changed from here.

use std::time::Duration;

use portcullis_host::log::{MAX_LINES, MoreLog};
use portcullis_proto::control::MAX_LOG;
use portcullis_proto::gateway::v1::{LogMoreRequest, LogRequest, MoreLogged};
use tokio::time::timeout;
use tonic::{Code, Response, Status};

use super::link::Link;
use super::{CallError, Fleet, printable};

/// How long a gateway has to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest version and filter that are shown, in letters.
const MAX_SHOWN: usize = 256;
/// The most processes of a gateway of which faults are shown, and letters of each.
const MAX_FAULTS: (usize, usize) = (8, 500);

/// What a gateway says of its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayLog {
    /// The version of its program.
    pub version: String,
    /// Oldest first.
    pub lines: Vec<String>,
    /// What it logs besides what its configuration says, and for how long yet.
    pub more: Option<(String, Duration)>,
    /// Of which of its processes there are no lines, or which do not log more, and why.
    pub faults: Vec<String>,
}

/// Why a gateway does not tell of its log, or change it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Nothing was answered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Its version knows nothing of it.
    #[error(
        "gateway `{gateway}` runs version {version}, which neither tells its log nor changes it from here: look at it on its host, or upgrade the gateway"
    )]
    Old {
        /// The gateway's name.
        gateway: String,
        /// Its version.
        version: String,
    },
    /// It said no.
    #[error("gateway `{gateway}` refuses: {reason}")]
    Refused {
        /// The gateway's name.
        gateway: String,
        /// Why.
        reason: String,
    },
}

impl Fleet {
    /// The last lines of a gateway's log.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn read_log(&self, gateway: &str, lines: u32) -> Result<GatewayLog, LogError> {
        let link = self.link_for_control(gateway).await?;
        let request = LogRequest { lines };
        let answer = async { link.control().log(request).await };
        let answer = answered(&link, timeout(PATIENCE, answer).await).await?;
        let most = usize::try_from(lines).unwrap_or(MAX_LINES).min(MAX_LINES);
        Ok(GatewayLog {
            version: short(&answer.version),
            lines: bounded(answer.lines, most),
            more: answer.more.map(more),
            faults: faults(&answer.faults),
        })
    }

    /// Has a gateway log more for so long, or with `None` no longer.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn log_more(
        &self,
        gateway: &str,
        wanted: Option<(&MoreLog, Duration)>,
    ) -> Result<GatewayLog, LogError> {
        let link = self.link_for_control(gateway).await?;
        let (filter, lasting) = wanted
            .map(|(filter, lasting)| (filter.to_string(), lasting))
            .unwrap_or_default();
        let request = LogMoreRequest {
            filter,
            for_ms: lasting.as_millis().try_into().unwrap_or(u32::MAX),
        };
        let answer = async { link.control().log_more(request).await };
        let answer = answered(&link, timeout(PATIENCE, answer).await).await?;
        Ok(GatewayLog {
            version: short(&answer.version),
            lines: Vec::new(),
            more: answer.more.map(more),
            faults: faults(&answer.faults),
        })
    }
}

async fn answered<T>(
    link: &Link,
    answer: Result<Result<Response<T>, Status>, tokio::time::error::Elapsed>,
) -> Result<T, LogError> {
    let gateway = link.gateway.clone();
    let lost = |gateway, reason| LogError::Call(CallError::Lost { gateway, reason });
    match answer {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => match status.code() {
            Code::Unimplemented => {
                if link.status().description.is_none() {
                    let _ = timeout(PATIENCE, link.describe()).await;
                }
                let version = link.status().description.map(|told| short(&told.version));
                let version = version.unwrap_or_else(|| "unknown".to_owned());
                Err(LogError::Old { gateway, version })
            }
            Code::FailedPrecondition | Code::InvalidArgument => {
                let reason = printable(status.message());
                Err(LogError::Refused { gateway, reason })
            }
            _ => Err(lost(gateway, printable(status.message()))),
        },
        Err(_) => {
            let reason = format!("no answer within {} s", PATIENCE.as_secs());
            Err(lost(gateway, reason))
        }
    }
}

/// A gateway may be in other hands by now: it is shown no more than it may tell.
fn bounded(lines: Vec<String>, most: usize) -> Vec<String> {
    let surplus = lines.len().saturating_sub(most);
    let mut left = MAX_LOG;
    lines
        .into_iter()
        .skip(surplus)
        .map_while(|line| {
            left = left.checked_sub(line.len())?;
            Some(without_control(&line))
        })
        .collect()
}

fn more(told: MoreLogged) -> (String, Duration) {
    let left = Duration::from_millis(told.left_ms.into());
    (short(&told.filter), left)
}

fn faults(told: &[String]) -> Vec<String> {
    let (most, letters) = MAX_FAULTS;
    let told = told.iter().take(most);
    told.map(|fault| beginning(fault, letters)).collect()
}

fn short(text: &str) -> String {
    beginning(text, MAX_SHOWN)
}

fn beginning(text: &str, letters: usize) -> String {
    without_control(&text.chars().take(letters).collect::<String>())
}

fn without_control(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_gateway_tells_no_more_is_shown_than_it_may_tell() {
        let lines = |count: usize, length: usize| vec!["x".repeat(length); count];
        assert_eq!(bounded(lines(9, 3), 4).len(), 4);
        assert_eq!(bounded(lines(200, 1024), 1000).len(), 96);
        let told = vec!["old".to_owned(), "a\u{1b}[2Jb\r\nc".to_owned()];
        assert_eq!(bounded(told, 1), ["a [2Jb  c"]);
        let told = faults(&lines(9, 501));
        assert_eq!((told.len(), told[0].len()), (8, 500));
        assert_eq!(faults(&["\u{7}x".to_owned()]), [" x"]);
    }
}
