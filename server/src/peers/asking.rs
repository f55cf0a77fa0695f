//! The links that this server dials: one to each other server that it has to ask something.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, stream};
use portcullis_common::handshake::{CallSecrets, Way};
use portcullis_common::id::PeerId;
use portcullis_host::backoff::Backoff;
use portcullis_proto::grpc::Bytes;
use portcullis_proto::peer::v1::peers_client::PeersClient;
use portcullis_proto::peer::v1::{ForwardAnswer, ForwardRequest};
use rand::Rng as _;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::dialling::{Dialled, dial};
use super::{ForwardError, Forwarded, Inner, MAX_MESSAGE, is_moved, lock};
use crate::fleet::transport::SendError;

/// What each status has that a method gave: one without it was made on the way.
const KIND: &str = "portcullis-kind";
/// Where requests go: the server that answers knows who asks by the session alone.
const ORIGIN: &str = "http://server.portcullis";
/// Random bytes that name a request.
const ID_LEN: usize = 16;

/// The answers to a request, as they come.
pub type Answered = Pin<Box<dyn Stream<Item = Result<Bytes, ForwardError>> + Send>>;

/// The link to one other server.
#[derive(Debug)]
pub(super) struct Asking {
    /// Held by whoever dials; the others wait for what comes of it.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    link: Option<Dialled>,
    backoff: Backoff,
    /// Why it was not reached, and when it is dialled again.
    failed: Option<(String, Instant)>,
}

impl Asking {
    fn new(inner: &Inner) -> Self {
        let settings = &inner.settings;
        Self {
            state: Mutex::new(State {
                link: None,
                backoff: Backoff::new(settings.backoff_min, settings.backoff_max),
                failed: None,
            }),
        }
    }

    /// Ends what is asked.
    pub(super) async fn close(&self) {
        if let Some(link) = self.state.lock().await.link.take() {
            link.session.close();
        }
    }

    /// The link to `to`, dialled where there is none, or where it is old: the former one ends with
    /// the last answer that it carries.
    async fn link(&self, inner: &Inner, to: PeerId) -> Result<Dialled, ForwardError> {
        let mut state = self.state.lock().await;
        let old = inner.settings.max_age;
        if let Some(link) = &state.link
            && !link.session.is_closed()
            && link.since.elapsed() < old
        {
            return Ok(link.clone());
        }
        state.link = None;
        if let Some((why, until)) = &state.failed
            && Instant::now() < *until
        {
            return Err(ForwardError::Unsent(why.clone()));
        }
        let found = inner.find(to).await;
        let found = found.map_err(|error| ForwardError::Unsent(error.to_string()))?;
        let Some(other) = found else {
            let why = "the server that held the gateway's link is gone".to_owned();
            return Err(ForwardError::Unsent(why));
        };
        match dial(inner, &other).await {
            Ok(link) => {
                tracing::info!(
                    server = other.name,
                    address = other.address,
                    "linked to another server"
                );
                state.backoff.reset();
                state.failed = None;
                state.link = Some(link.clone());
                Ok(link)
            }
            Err(error) => {
                let why = format!("server `{}` is not reached ({error})", other.name);
                tracing::warn!(server = other.name, %error, "no link to another server");
                let until = Instant::now() + state.backoff.next_wait();
                state.failed = Some((why.clone(), until));
                Err(ForwardError::Unsent(why))
            }
        }
    }
}

/// See [`Peers::forward`](super::Peers::forward).
pub(super) async fn forward(
    inner: &Arc<Inner>,
    to: PeerId,
    request: Forwarded,
) -> Result<Answered, ForwardError> {
    let asking = {
        let mut all = lock(&inner.asking);
        let one = all
            .entry(to)
            .or_insert_with(|| Arc::new(Asking::new(inner)));
        Arc::clone(one)
    };
    let link = asking.link(inner, to).await?;
    let id = fresh_id();
    let exporter = link.session.exporter();
    let mut secrets = CallSecrets::new(exporter, Way::Call, &id);
    let message = ForwardRequest {
        method: request.method,
        subject: Some(request.subject),
        sealed: secrets.seal(&request.message, &mut rand::rng()),
        traceparent: request.traceparent,
        id: id.clone(),
    };
    let answers = CallSecrets::new(exporter, Way::Answer, &id);
    let origin = http::Uri::from_static(ORIGIN);
    let mut client = PeersClient::with_origin(link.requests.clone(), origin)
        .max_decoding_message_size(MAX_MESSAGE);
    let response = client.forward(message).await.map_err(failed)?;
    // It keeps the link open.
    let reading = Reading {
        raw: Some(response.into_inner()),
        answers,
        _link: link,
    };
    Ok(Box::pin(stream::unfold(reading, Reading::next)))
}

struct Reading {
    /// `None`: that was the end.
    raw: Option<Streaming<ForwardAnswer>>,
    answers: CallSecrets,
    _link: Dialled,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<Bytes, ForwardError>, Self)> {
        let answer = match self.raw.as_mut()?.message().await {
            Ok(None) => return None,
            Ok(Some(answer)) => match self.answers.open(&answer.sealed) {
                Ok(opened) => Ok(Bytes::copy_from_slice(&opened)),
                Err(_) => Err(ForwardError::Lost(
                    "an answer was not sealed for this server".to_owned(),
                )),
            },
            Err(status) => Err(failed(status)),
        };
        if answer.is_err() {
            self.raw = None;
        }
        Some((answer, self))
    }
}

fn failed(status: Status) -> ForwardError {
    if is_moved(&status) {
        return ForwardError::Unsent(status.message().to_owned());
    }
    if status.metadata().contains_key(KIND) {
        return ForwardError::Refused(Box::new(status));
    }
    let sent = status
        .source()
        .and_then(|source| source.downcast_ref::<SendError>());
    let why = crate::fleet::printable(status.message());
    match sent.is_some_and(|error| error.unsent) {
        true => ForwardError::Unsent(why),
        false => ForwardError::Lost(why),
    }
}

fn fresh_id() -> String {
    let mut bytes = [0; ID_LEN];
    rand::rng().fill_bytes(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}
