//! The measurements. Every one checks what it got back: a fast wrong answer is no result.

use std::time::{Duration, Instant};

use futures_util::future;
use hdrhistogram::Histogram;
use portcullis_proto::gateway::v1 as pb;
use portcullis_proto::gateway::v1::provisioning_client::ProvisioningClient;
use tokio::task::JoinSet;

use super::links::{Wired, WiredError};
use super::peer::{Joiner, LinkError};
use super::service::BULK_ITEM;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// No link.
    #[error(transparent)]
    Wired(#[from] WiredError),
    /// No link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A call failed.
    #[error("a call failed: {0}")]
    Call(#[from] Box<tonic::Status>),
    /// An answer was not what was asked for.
    #[error("{0} came back changed")]
    Changed(&'static str),
    /// A task was lost.
    #[error("a measuring task was lost: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// Latencies could not be recorded.
    #[error("cannot record latencies: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
}

impl From<tonic::Status> for MeasureError {
    fn from(status: tonic::Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// One round's figures for calls.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// Calls answered in a second.
    pub per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of latency in microseconds.
    pub p99_us: f64,
}

/// Keeps `in_flight` calls going for `slice`, each sending `payload` bytes and getting them back.
///
/// # Errors
/// [`MeasureError`] where a call fails or its answer differs.
pub async fn calls(
    wired: &Wired,
    payload: usize,
    in_flight: usize,
    slice: Duration,
) -> Result<Calls, MeasureError> {
    let began = Instant::now();
    let end = began + slice;
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let mut control = wired.control();
        callers.spawn(async move {
            // Nanoseconds up to a minute, to three digits.
            let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
            let payload = vec![0xa5; payload];
            while Instant::now() < end {
                let request = pb::PingRequest {
                    payload: payload.clone(),
                };
                let sent = Instant::now();
                let answer = control.ping(request).await?.into_inner();
                latencies.saturating_record(sent.elapsed().as_nanos() as u64);
                if answer.payload != payload {
                    return Err(MeasureError::Changed("a payload"));
                }
            }
            Ok(latencies)
        });
    }
    let mut all = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
    while let Some(latencies) = callers.join_next().await {
        // Same bounds: the addition cannot fail.
        let _ = all.add(latencies??);
    }
    Ok(Calls {
        per_second: all.len() as f64 / began.elapsed().as_secs_f64(),
        p50_us: all.value_at_quantile(0.5) as f64 / 1000.0,
        p99_us: all.value_at_quantile(0.99) as f64 / 1000.0,
    })
}

/// Reads a stream of objects for `slice`: megabytes (10^6) of content in a second.
///
/// # Errors
/// [`MeasureError`] where the stream ends early or holds something else.
pub async fn bulk(wired: &Wired, slice: Duration) -> Result<f64, MeasureError> {
    let mut items = ProvisioningClient::new(wired.channel.clone())
        .search(pb::Call::default())
        .await?
        .into_inner();
    let began = Instant::now();
    let mut bytes = 0;
    while began.elapsed() < slice {
        let item = items.message().await?;
        let len = item.as_ref().map_or(0, content_len);
        if len != BULK_ITEM {
            return Err(MeasureError::Changed("an object of the stream"));
        }
        bytes += len;
    }
    Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
}

fn content_len(item: &pb::SearchItem) -> usize {
    let Some(pb::search_item::Kind::Object(object)) = &item.kind else {
        return 0;
    };
    let values = object.attributes.iter().flat_map(|a| &a.values);
    values
        .filter_map(|value| match &value.kind {
            Some(pb::value::Kind::Binary(bytes)) => Some(bytes.len()),
            _ => None,
        })
        .sum()
}

/// Connects and shakes hands over and over for `slice`, `tasks` at once: handshakes finished on both sides in a second.
///
/// # Errors
/// [`MeasureError`] where one fails.
pub async fn handshakes(
    joiner: &Joiner,
    tasks: usize,
    slice: Duration,
) -> Result<f64, MeasureError> {
    let began = Instant::now();
    let counts = future::try_join_all((0..tasks).map(|_| async {
        let mut count = 0_u32;
        while began.elapsed() < slice {
            joiner.join().await?;
            count += 1;
        }
        Ok::<_, MeasureError>(count)
    }))
    .await?;
    Ok(f64::from(counts.iter().sum::<u32>()) / began.elapsed().as_secs_f64())
}
