//! What is answered to which request.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::{Duration, Instant};

use crate::readiness::Readiness;
use crate::watched::Watched;

/// For how long what was found out holds: whoever asks more often costs nothing more.
const FRESH: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md#protocol-negotiation>
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers for one program.
pub(crate) struct Answers<W> {
    watched: W,
    ready: Fresh<Readiness>,
    metrics: Fresh<String>,
}

impl<W: Watched> Answers<W> {
    pub(crate) fn of(watched: W) -> Self {
        Self {
            watched,
            ready: Fresh::default(),
            metrics: Fresh::default(),
        }
    }

    /// The body of the request is never read.
    ///
    /// # Errors
    /// What was to be found out ended in a panic.
    pub(crate) async fn to<B>(
        self: &Arc<Self>,
        request: &Request<B>,
    ) -> Result<Response<Full<Bytes>>, JoinError> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = answer(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "only GET and HEAD are allowed here\n".to_owned(),
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            refusal.headers_mut().insert(ALLOW, allowed);
            return Ok(refusal);
        }
        Ok(match request.uri().path() {
            "/live" => answer(StatusCode::OK, TEXT, "live\n".to_owned()),
            "/ready" => {
                let ready = self.ready().await?;
                let status = match ready.ready {
                    true => StatusCode::OK,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                // It has no keys but texts, and cannot fail.
                let text = serde_json::to_string(&ready).unwrap_or_default();
                answer(status, JSON, text + "\n")
            }
            "/metrics" => answer(StatusCode::OK, METRICS, self.metrics().await?),
            _ => answer(
                StatusCode::NOT_FOUND,
                TEXT,
                "there are /live, /ready and /metrics\n".to_owned(),
            ),
        })
    }

    async fn ready(self: &Arc<Self>) -> Result<Readiness, JoinError> {
        let answers = Arc::clone(self);
        let finding_out = async move { Ok(answers.watched.ready().await) };
        self.ready.or(finding_out).await
    }

    async fn metrics(self: &Arc<Self>) -> Result<String, JoinError> {
        let answers = Arc::clone(self);
        let finding_out = async move {
            let ready = answers.ready().await?;
            Ok(answers.watched.metrics(&ready).await)
        };
        self.metrics.or(finding_out).await
    }
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Found out once for all who ask within [`FRESH`].
struct Fresh<T>(Arc<Mutex<Option<(Instant, T)>>>);

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + 'static> Fresh<T> {
    async fn or(
        &self,
        finding_out: impl Future<Output = Result<T, JoinError>> + Send + 'static,
    ) -> Result<T, JoinError> {
        let mut held = Arc::clone(&self.0).lock_owned().await;
        if let Some((at, value)) = &*held
            && at.elapsed() < FRESH
        {
            return Ok(value.clone());
        }
        // In a task of its own: it comes to its end for all who ask, also where the first of them
        // hangs up meanwhile. Whoever does so again and again costs nothing more.
        tokio::spawn(async move {
            let value = finding_out.await?;
            *held = Some((Instant::now(), value.clone()));
            Ok(value)
        })
        .await?
    }
}
