//! A central server of a few lines: it holds keys, shakes hands, and calls.

use std::future::ready;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use portcullis_common::calls::{Answer, Calling, Frame};
use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{CallPlace, InitiatorConfig, Preamble};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{EnrolmentToken, HeldKey};
use portcullis_common::secret::MasterKey;
use portcullis_common::stream::{self, ChannelError, ChannelLimits, SealedStream, Session};
use portcullis_proto::gateway::v1::control_client::ControlClient;
use portcullis_proto::gateway::v1::provisioning_client::ProvisioningClient;
use portcullis_proto::gateway::v1::{
    Call, CallFrame, CallFrames, EnrolRequest, Failure, FailureKind, InstallRequest, Outcome,
    PingRequest, Secret, Test, call, outcome,
};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

/// What a server knows of one gateway.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) id: ServerId,
    pub(crate) gateway_id: GatewayId,
    /// Newest first.
    pub(crate) keys: Vec<HeldKey>,
    pub(crate) pairing: Option<HeldKey>,
    pub(crate) suites: Vec<Suite>,
}

/// A live session as the server has it.
pub(crate) struct Link {
    pub(crate) session: Arc<Session>,
    pub(crate) channel: Channel,
    calls: Mutex<Option<Calls>>,
}

/// The stream of calls of a session.
pub(crate) struct Calls {
    calling: Calling<()>,
    /// Of the calls that are sent from now on.
    not_after: Option<NonZeroU64>,
    frames: mpsc::Sender<CallFrames>,
    answers: Streaming<CallFrames>,
}

impl Calls {
    pub(crate) async fn open(channel: &Channel) -> Result<Self, Status> {
        let (frames, body) = mpsc::channel(16);
        let mut client = ProvisioningClient::new(channel.clone());
        let answers = client.calls(ReceiverStream::new(body)).await?;
        Ok(Self {
            calling: Calling::default(),
            not_after: None,
            frames,
            answers: answers.into_inner(),
        })
    }

    /// Sends a call: its number.
    pub(crate) async fn send(&mut self, call: &Call) -> Result<u64, Status> {
        let number = self.calling.submit(call.encode_to_vec().into(), u64::MAX);
        let number = number.map_err(|error| Status::unavailable(error.to_string()))?;
        self.flush().await?;
        Ok(number)
    }

    /// The next answer to a call.
    pub(crate) async fn next(&mut self, number: u64) -> Result<Answer, Status> {
        loop {
            if let Some(answer) = self.calling.next(number, |()| ()) {
                return Ok(answer);
            }
            self.flush().await?;
            let Some(frames) = self.answers.message().await? else {
                return Err(Status::unavailable("the stream has ended"));
            };
            for frame in frames.frames {
                let frame = Frame::try_from(frame).unwrap();
                self.calling.handle(frame, &mut Vec::new()).unwrap();
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Status> {
        let mut frames = Vec::new();
        let put = |frame| frames.push(CallFrame::from(frame));
        self.calling.take_until(u64::MAX, self.not_after, put);
        if !frames.is_empty() {
            let sent = self.frames.send(CallFrames { frames }).await;
            sent.map_err(|_| Status::unavailable("the stream is gone"))?;
        }
        Ok(())
    }

    async fn execute(&mut self, call: &Call) -> Result<Outcome, Status> {
        let number = self.send(call).await?;
        match self.next(number).await? {
            Answer::End(outcome) => Ok(Outcome::decode(outcome).unwrap()),
            Answer::Refused(refusal) if refusal.kind == FailureKind::Late as i32 => {
                Err(Status::aborted(refusal.message))
            }
            // Somebody has looked for it before: that is its outcome.
            Answer::Refused(refusal) if refusal.kind == FailureKind::NotBegun as i32 => {
                let failure = Failure {
                    kind: refusal.kind,
                    message: refusal.message,
                    ..Failure::default()
                };
                Ok(Outcome {
                    call_id: call.call_id.clone(),
                    result: Some(outcome::Result::Failed(failure)),
                })
            }
            Answer::Refused(refusal) => {
                assert_eq!(refusal.kind, FailureKind::Invalid as i32);
                Err(Status::invalid_argument(refusal.message))
            }
            other => Err(Status::unavailable(format!("{other:?}"))),
        }
    }
}

pub(crate) fn token() -> EnrolmentToken {
    let mut rng = rand::rng();
    EnrolmentToken::random(GatewayId::random(&mut rng), KeyKind::Tdes, &mut rng)
}

pub(crate) fn master_key(kind: KeyKind) -> HeldKey {
    HeldKey {
        id: KeyId::random(kind, &mut rand::rng()),
        key: MasterKey::random(kind, &mut rand::rng()),
    }
}

impl Server {
    /// One that made this token.
    pub(crate) fn of(token: &EnrolmentToken) -> Self {
        Self {
            id: ServerId::random(&mut rand::rng()),
            gateway_id: token.gateway_id(),
            keys: vec![HeldKey {
                id: token.key_id(),
                key: token.key().clone(),
            }],
            pairing: None,
            suites: Suite::ALL.to_vec(),
        }
    }

    /// One that offers pairing.
    pub(crate) fn pairing() -> Self {
        let mut server = Self::of(&token());
        server.keys.clear();
        server.pairing = Some(master_key(KeyKind::Tdes));
        server
    }

    /// Dials the gateway and shakes hands.
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<Link, ChannelError> {
        self.shake_hands(TcpStream::connect(address).await?, None)
            .await
    }

    /// Awaits the gateway's connection and shakes hands.
    pub(crate) async fn await_gateway(
        &self,
        listener: &TcpListener,
    ) -> (Preamble, Result<Link, ChannelError>) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let preamble = stream::read_preamble(&mut stream, &ChannelLimits::default())
            .await
            .unwrap();
        let link = self.shake_hands(stream, Some(&preamble)).await;
        (preamble, link)
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        preamble: Option<&Preamble>,
    ) -> Result<Link, ChannelError> {
        let config = InitiatorConfig {
            server_id: self.id,
            suites: self.suites.clone(),
            gateway_id: self.gateway_id,
            keys: self.keys.clone(),
            pairing: self.pairing.clone(),
        };
        let limits = ChannelLimits {
            handshake: Duration::from_secs(30),
            ..ChannelLimits::default()
        };
        let stream = stream::connect(stream, preamble, config, &limits).await?;
        Ok(Link::over(stream).await)
    }
}

impl Link {
    async fn over(stream: SealedStream<TcpStream>) -> Self {
        let session = Arc::clone(stream.session());
        let mut once = Some(stream);
        let connector = tower::service_fn(move |_| {
            ready(once.take().map(TokioIo::new).ok_or("the session is over"))
        });
        let channel = Endpoint::from_static("http://gateway")
            .connect_with_connector(connector)
            .await
            .unwrap();
        Self {
            session,
            channel,
            calls: Mutex::default(),
        }
    }

    pub(crate) fn control(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel.clone())
    }

    pub(crate) fn key_id(&self) -> KeyId {
        self.session.info().key_id
    }

    pub(crate) async fn ping(&self) -> Result<(), Status> {
        let payload = b"are you there".to_vec();
        let request = PingRequest {
            payload: payload.clone(),
        };
        let answer = self.control().ping(request).await?.into_inner();
        assert_eq!(answer.payload, payload);
        Ok(())
    }

    pub(crate) async fn nonce(&self) -> Result<Vec<u8>, Status> {
        let answer = self.control().enrol(EnrolRequest {}).await?;
        Ok(answer.into_inner().nonce)
    }

    /// A provisioning call; whether the gateway lets it through is what matters here.
    pub(crate) async fn call(&self) -> Result<Outcome, Status> {
        let call = Call {
            call_id: "one".to_owned(),
            connector: "nowhere".to_owned(),
            verb: Some(call::Verb::Test(Test {})),
            ..Call::default()
        };
        self.execute(call).await
    }

    pub(crate) async fn execute(&self, call: Call) -> Result<Outcome, Status> {
        self.execute_until(call, 0).await
    }

    /// The same of a call that says until when it may be begun; 0: at any time.
    pub(crate) async fn execute_until(&self, call: Call, moment: u64) -> Result<Outcome, Status> {
        let mut calls = self.calls.lock().await;
        let calls = match &mut *calls {
            Some(calls) => calls,
            calls => calls.insert(Calls::open(&self.channel).await?),
        };
        calls.not_after = NonZeroU64::new(moment);
        calls.execute(&call).await
    }

    /// Opens a second stream of calls beside the one that is there.
    pub(crate) async fn open_another(&self) -> Result<(), Status> {
        self.call().await?;
        Calls::open(&self.channel).await.map(drop)
    }

    /// Seals a secret for this session.
    pub(crate) fn seal(&self, place: CallPlace<'_>, value: &[u8]) -> Secret {
        let exporter = self.session.exporter();
        Secret::sealed(exporter.seal(place, value, &mut rand::rng()))
    }

    /// Installs `new` in place of the key that this session was opened under.
    pub(crate) async fn install(&self, new: &HeldKey) -> Result<(), Status> {
        let request = self.install_request(new);
        let answer = self.control().install(request).await?.into_inner();
        assert_eq!(answer.pending_key_id, new.id.to_bytes());
        Ok(())
    }

    pub(crate) fn install_request(&self, new: &HeldKey) -> InstallRequest {
        InstallRequest {
            version: 1,
            new_key_id: new.id.to_bytes().to_vec(),
            replaced_key_id: self.key_id().to_bytes().to_vec(),
            wrapped_master_key: self.session.wrap_master_key(new.id, &new.key),
        }
    }

    /// Waits until the gateway has ended the session.
    pub(crate) async fn until_ended(&self) {
        tokio::time::timeout(super::PATIENCE, self.session.closed())
            .await
            .unwrap();
    }
}

/// The code of a refusal, and that its message says something.
pub(crate) fn code<T: std::fmt::Debug>(refused: Result<T, Status>) -> Code {
    let status = refused.unwrap_err();
    assert!(!status.message().is_empty(), "{status:?}");
    status.code()
}
