//! What is answered to which request.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::Mutex;
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
    pub(crate) async fn to<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = answer(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "only GET and HEAD are allowed here\n".to_owned(),
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            refusal.headers_mut().insert(ALLOW, allowed);
            return refusal;
        }
        match request.uri().path() {
            "/live" => answer(StatusCode::OK, TEXT, "live\n".to_owned()),
            "/ready" => {
                let ready = self.ready().await;
                let status = match ready.ready {
                    true => StatusCode::OK,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                // It has no keys but texts, and cannot fail.
                let text = serde_json::to_string(&ready).unwrap_or_default();
                answer(status, JSON, text + "\n")
            }
            "/metrics" => answer(StatusCode::OK, METRICS, self.metrics().await),
            _ => answer(
                StatusCode::NOT_FOUND,
                TEXT,
                "there are /live, /ready and /metrics\n".to_owned(),
            ),
        }
    }

    async fn ready(&self) -> Readiness {
        self.ready.or(self.watched.ready()).await
    }

    async fn metrics(&self) -> String {
        let finding_out = async { self.watched.metrics(&self.ready().await).await };
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
struct Fresh<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Fresh<T> {
    async fn or(&self, finding_out: impl Future<Output = T>) -> T {
        let mut held = self.0.lock().await;
        if let Some((at, value)) = &*held
            && at.elapsed() < FRESH
        {
            return value.clone();
        }
        let value = finding_out.await;
        *held = Some((Instant::now(), value.clone()));
        value
    }
}
