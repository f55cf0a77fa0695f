//! The measurements. Every one checks what it got back: a fast wrong answer is no result.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hdrhistogram::Histogram;
use portcullis_proto::gateway::v1::search_item::Kind;
use tokio::task::JoinSet;

use super::line::{Items, Line, LineError};
use crate::{echo, processor};

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// Nothing to measure.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A call failed.
    #[error("a call failed: {0}")]
    Call(String),
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

/// One round's figures for calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    /// Calls answered in a second.
    pub(crate) per_second: f64,
    /// Median latency in microseconds.
    pub(crate) p50_us: f64,
    /// 99th percentile of latency in microseconds.
    pub(crate) p99_us: f64,
    /// Processor time of this process, and so of both ends, for one call, in microseconds.
    pub(crate) processor_us: f64,
}

/// Keeps `in_flight` calls going for `slice`, each sending `payload` bytes and getting them back.
pub(crate) async fn calls(
    line: &Line,
    payload: usize,
    in_flight: usize,
    slice: Duration,
) -> Result<Calls, MeasureError> {
    let (began, processor) = (Instant::now(), processor::time());
    let end = began + slice;
    let mut callers = JoinSet::new();
    for number in 0..in_flight {
        let mut caller = line.caller();
        callers.spawn(async move {
            // Nanoseconds up to a minute, to three digits.
            let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
            let payload = "e".repeat(payload);
            while Instant::now() < end {
                let call_id = format!("{number}.{}", latencies.len());
                let sent = Instant::now();
                let outcome = caller.call(call_id, &payload).await;
                latencies.saturating_record(sent.elapsed().as_nanos() as u64);
                let outcome = outcome.map_err(MeasureError::Call)?;
                match echo::payload(&outcome) {
                    Some(came) if came == payload.as_bytes() => {}
                    Some(_) => return Err(MeasureError::Changed("a payload")),
                    None => return Err(MeasureError::Call(format!("{outcome:?}"))),
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
    let processor = processor::time().saturating_sub(processor);
    Ok(Calls {
        per_second: all.len() as f64 / began.elapsed().as_secs_f64(),
        p50_us: all.value_at_quantile(0.5) as f64 / 1000.0,
        p99_us: all.value_at_quantile(0.99) as f64 / 1000.0,
        processor_us: processor.as_secs_f64() * 1e6 / all.len().max(1) as f64,
    })
}

/// One round's figures for a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bulk {
    /// Megabytes (10^6) of content in a second.
    pub(crate) megabytes_per_second: f64,
    /// Processor time of this process, and so of both ends, for one byte, in nanoseconds.
    pub(crate) processor_ns: f64,
}

/// Reads a stream of plain tonic for `slice`.
pub(crate) async fn bulk(line: &Line, slice: Duration) -> Result<Bulk, MeasureError> {
    let items = line.bulk().await.map_err(MeasureError::Call)?;
    let (began, processor) = (Instant::now(), processor::time());
    let bytes = read(items, began + slice).await? as f64;
    let processor = processor::time().saturating_sub(processor);
    Ok(Bulk {
        megabytes_per_second: bytes / 1e6 / began.elapsed().as_secs_f64(),
        processor_ns: processor.as_secs_f64() * 1e9 / bytes,
    })
}

/// Searches for `slice`, again where a search has ended: megabytes of content in a second.
pub(crate) async fn search(line: &Line, slice: Duration) -> Result<f64, MeasureError> {
    let began = Instant::now();
    let end = began + slice;
    let mut bytes = 0;
    while Instant::now() < end {
        let items = line.search().await.map_err(MeasureError::Call)?;
        bytes += read(items, end).await?;
    }
    Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
}

/// Reads to the end of the stream, or to `end`: the bytes read.
async fn read(mut items: Items, end: Instant) -> Result<usize, MeasureError> {
    let mut bytes = 0;
    while Instant::now() < end {
        let item = items.next().await;
        let item = item
            .ok_or(MeasureError::Changed("the end of the stream"))?
            .map_err(MeasureError::Call)?;
        match item.kind {
            Some(Kind::Object(object)) => match echo::content(&object) {
                Some(content) if content.len() == echo::BULK_ITEM => bytes += content.len(),
                _ => return Err(MeasureError::Changed("an object of the stream")),
            },
            Some(Kind::End(end)) => match end.failure {
                Some(failure) => return Err(MeasureError::Call(failure.message)),
                None => break,
            },
            Some(Kind::Gone(_) | Kind::Listing(_)) | None => {
                return Err(MeasureError::Changed("an item of the stream"));
            }
        }
    }
    Ok(bytes)
}
