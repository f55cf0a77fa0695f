//! Where the time of a call goes: spans of one trace, from whoever asks to the connector, sent by
//! both programs to a collector as OTLP over HTTP.
//!
//! ```text
//!   caller ──traceparent──▶ server ──traceparent──▶ gateway ──TRACEPARENT──▶ script
//!                             │ spans                 │ spans
//!                             ▼ bounded queue         ▼        full: dropped, and counted
//!                          exporter ─POST─▶ collector on the same host
//! ```
//!
//! A [`Tracer`] makes a [`Trace`] of what came with a request, a [`Trace`] begins [`Span`]s, and a
//! [`Span`] is the trace of what happens within it. Where tracing is off, what a caller sent is
//! carried on all the same, and costs nothing else. A process that reaches no collector holds its
//! spans ([`HeldSpans`]) until another one of the same program takes and sends them. A span has
//! names from closed sets and names of the configuration alone ([`Key`]): never what a call holds.

mod context;
mod exporter;
mod otlp;
mod settings;
mod span;

pub use context::{NoTraceContext, TraceContext};
pub use exporter::{Handed, HeldSpans, Program, SpanCounts};
pub use settings::TraceSettings;
pub use span::{Key, Kind, Span, Trace, Tracer};
