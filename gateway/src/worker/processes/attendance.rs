//! Whether the workers are there: this process logs when one ends, and when it is back.
//!
//! A connection to each stays open as long as the worker lives. The worker says first that it is
//! there, and then, where it is told to stop, that it stops: one that ends without that word was
//! killed, or has failed.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::join;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_proto::worker::v1::{Here, Watch};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::orders::{Lost, PATIENCE};
use super::{Workers, nonsense};
use crate::config::WorkerKind;

/// How often a worker is looked for that is away.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a worker may not be there before that is told: all of them start together.
const GRACE: Duration = Duration::from_secs(5);
/// Longer than any worker lives.
const EVER: Duration = Duration::from_hours(24 * 365 * 30);

/// What is known of a worker's absence.
#[derive(Clone, Copy, Debug, Default)]
struct Absence {
    since: Option<Instant>,
    told: bool,
}

impl Absence {
    /// It is not there: whether that is to be told now.
    fn missed(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let tell = !self.told && now.duration_since(since) >= GRACE;
        self.told |= tell;
        tell
    }

    /// It was there until now, which is told.
    fn ended(&mut self, now: Instant) {
        *self = Self {
            since: Some(now),
            told: true,
        };
    }

    /// It is there: how long it was away, where somebody was told of that.
    fn over(&mut self, now: Instant) -> Option<Duration> {
        let Self { since, told } = std::mem::take(self);
        since
            .filter(|_| told)
            .map(|since| now.duration_since(since))
    }
}

impl Workers {
    /// Logs when a worker ends, how, and when it is back, for ever.
    pub async fn watch(&self) {
        let [one, other] = WorkerKind::ALL.map(|kind| self.watch_one(kind));
        join(one, other).await;
    }

    async fn watch_one(&self, kind: WorkerKind) -> Infallible {
        let unit = kind.unit(&self.shared.instance);
        let mut absence = Absence::default();
        loop {
            if !self.used().contains(&kind) {
                absence = Absence::default();
            } else if let Ok(stream) = self.meet(kind).await {
                if let Some(away) = absence.over(Instant::now()) {
                    let seconds = away.as_secs_f32();
                    info!(name: "worker_back", worker = %kind, "the worker `{kind}` is back after {seconds:.1} s");
                }
                let how = match self.stay(kind, stream).await {
                    true => "it was told to stop".to_owned(),
                    false => {
                        format!("it was killed or has failed: `systemctl status {unit}` says how")
                    }
                };
                absence.ended(Instant::now());
                warn!(name: "worker_ended", worker = %kind, "the worker `{kind}` has ended: {how}; its calls fail until it is back");
            } else if absence.missed(Instant::now()) {
                warn!(name: "worker_away", worker = %kind, "the worker `{kind}` is not there: `systemctl status {unit}` says why; its calls fail until it is");
            }
            sleep(PAUSE).await;
        }
    }

    /// A connection to a worker that has said that it is there.
    async fn meet(&self, kind: WorkerKind) -> Result<UnixStream, Lost> {
        let order = self.order(None, None, What::Watch(Watch {}));
        let mut stream = self.send(kind, order).await?;
        let deadline = Instant::now() + PATIENCE;
        match self.answer(kind, &mut stream, deadline).await? {
            Answered::Here(_) => Ok(stream),
            _ => Err(Lost::Silent(nonsense(kind))),
        }
    }

    /// Waits until the worker has ended: whether it was told to.
    async fn stay(&self, kind: WorkerKind, mut stream: UnixStream) -> bool {
        let mut told = false;
        let end = Instant::now() + EVER;
        while let Ok(answer) = self.answer(kind, &mut stream, end).await {
            told |= matches!(answer, Answered::Here(Here { stopping: true }));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_told_once_and_its_end_where_it_was_told() {
        let mut absence = Absence::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!absence.missed(at(0)));
        assert_eq!(absence.over(at(1)), None);
        assert!(!absence.missed(at(2)) && !absence.missed(at(6)));
        assert!(absence.missed(at(7)) && !absence.missed(at(8)));
        assert_eq!(absence.over(at(9)), Some(Duration::from_secs(7)));
        absence.ended(at(10));
        assert!(!absence.missed(at(30)));
        assert_eq!(absence.over(at(31)), Some(Duration::from_secs(21)));
    }
}
