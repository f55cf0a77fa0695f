//! One connection to a directory, one request at a time.
//!
//! ```text
//!   dial ──▶ [StartTLS] ──▶ TLS ──▶ bind ──▶ request ──▶ … ──▶ answer ──▶ request ──▶ …
//! ```
//!
//! A request that is not answered to its end leaves the connection unfit for another: it is then
//! dropped. Answers are told by the number of their request: a late one is passed over, and what
//! has the number 0 is the directory's own word, such as that it ends the connection.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

use super::fault::{Error, Fault, FaultKind, code, code_name};
use super::handshake::{shake_hands, start_tls};
use super::message::{self, Answer, Body, Control, Entry, Message, Operation};
use super::server::{Servers, Start};
use super::tls::Pin;
use crate::model::Password;

/// RFC 4511, section 4.4.1.
const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";

/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// One connection to a directory.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TlsStream<TcpStream>,
    input: Input,
    shown: String,
    certificate: Pin,
    next_id: i32,
    /// The request that was not answered to its end.
    under_way: Option<i32>,
    broken: bool,
    /// Which of the servers it leads to.
    pub(crate) server: usize,
    /// When it was opened.
    pub(crate) opened: Instant,
    /// When it was last of use.
    pub(crate) used: Instant,
    /// Whether an earlier request came to its end on it.
    pub(crate) proven: bool,
}

/// What came in and was not read yet.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) buffer: BytesMut,
    most: usize,
    patience: Duration,
}

/// What a search gives before its end.
#[derive(Debug)]
pub(crate) enum Item {
    /// An entry, with the controls of its message.
    Entry(Entry, Vec<Control>),
    /// Other directories where it would go on: they are not asked.
    Reference(Vec<String>),
    /// Something else.
    Intermediate {
        /// Which.
        oid: Option<String>,
        /// What it says.
        value: Option<Bytes>,
    },
    /// The end.
    End(Answer),
}

impl Link {
    /// Opens a connection and begins TLS on it. Nobody is bound on it yet.
    pub(crate) async fn open(
        servers: &Servers,
        index: usize,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        let unknown = || Fault::new(FaultKind::Name, "there is no such server");
        let server = servers.list.get(index).ok_or_else(unknown)?;
        let mut stream = server.dial(deadline).await?;
        if server.start == Start::OnRequest {
            start_tls(servers, server, &mut stream, deadline).await?;
        }
        let (stream, certificate) = shake_hands(servers, server, stream, deadline).await?;
        let now = Instant::now();
        Ok(Self {
            stream,
            input: Input::new(servers),
            shown: server.shown(),
            certificate,
            next_id: 1,
            under_way: None,
            broken: false,
            server: index,
            opened: now,
            used: now,
            proven: false,
        })
    }

    /// Whether the next request can go on it, as far as that can be seen without sending anything.
    pub(crate) fn is_fit(&mut self) -> bool {
        if self.broken || self.under_way.is_some() {
            return false;
        }
        // What lies there unasked is late, or the directory's farewell.
        loop {
            match self.input.take() {
                Ok(Some(message)) if message.id == 0 => return false,
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(_) => return false,
            }
            let read = self.stream.read_buf(&mut self.input.buffer);
            match read.now_or_never() {
                None => return true,
                Some(Ok(count)) if count > 0 => {}
                Some(_) => return false,
            }
        }
    }

    /// Whether it may serve again.
    pub(crate) fn is_idle(&self) -> bool {
        !self.broken && self.under_way.is_none()
    }

    /// The SHA-256 of the server's certificate.
    pub(crate) fn certificate(&self) -> &Pin {
        &self.certificate
    }

    /// The server as it is shown to people.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Binds. Whatever the answer, it comes back: only of 0 there is somebody bound.
    pub(crate) async fn bind(
        &mut self,
        dn: &str,
        password: &Password,
        controls: &[Control],
        deadline: Instant,
    ) -> Result<Answer, Error> {
        let operation = Operation::Bind {
            dn: dn.to_owned(),
            password: password.clone(),
        };
        let id = self.send(&operation, controls, deadline).await?;
        let answer = self.answer(id, deadline).await?;
        // After a failed bind nobody is bound, whatever the server may think.
        self.broken |= answer.code != code::SUCCESS;
        Ok(answer)
    }

    /// Asks for something that has one answer.
    ///
    /// # Errors
    /// [`Error::Refused`] where the directory said no, and what else [`Error`] tells apart.
    pub(crate) async fn ask(
        &mut self,
        operation: &Operation,
        controls: &[Control],
        deadline: Instant,
    ) -> Result<Answer, Error> {
        let id = self.send(operation, controls, deadline).await?;
        let answer = self.answer(id, deadline).await?;
        match answer.code {
            code::SUCCESS => Ok(answer),
            _ => Err(Error::refused(answer)),
        }
    }

    /// Begins a search; [`next`](Self::next) gives what it finds.
    pub(crate) async fn begin(
        &mut self,
        search: message::Search,
        controls: &[Control],
        deadline: Instant,
    ) -> Result<i32, Error> {
        let operation = Operation::Search(search);
        self.send(&operation, controls, deadline).await
    }

    /// The next item of a search. Nothing is read ahead: who takes his time slows the directory
    /// down.
    pub(crate) async fn next(&mut self, id: i32, deadline: Instant) -> Result<Item, Error> {
        let message = self.receive(id, deadline).await.map_err(Error::Unknown)?;
        let controls = message.controls;
        Ok(match message.body {
            Body::Entry(entry) => Item::Entry(entry, controls),
            Body::Reference(urls) => Item::Reference(urls),
            Body::Intermediate { oid, value } => Item::Intermediate { oid, value },
            Body::Answer(answer) => {
                self.end();
                if answer.code != code::SUCCESS {
                    return Err(Error::refused(answer));
                }
                Item::End(answer)
            }
        })
    }

    /// Says good-bye.
    pub(crate) async fn close(mut self, deadline: Instant) {
        let bytes = message::encode(self.next_id, &Operation::Unbind, &[]);
        let leaving = async {
            let _ = self.stream.write_all(&bytes).await;
            let _ = self.stream.shutdown().await;
        };
        // Whether it hears that does not matter.
        let _ = timeout_at(deadline, leaving).await;
    }

    async fn send(
        &mut self,
        operation: &Operation,
        controls: &[Control],
        deadline: Instant,
    ) -> Result<i32, Error> {
        if !self.is_fit() {
            self.broken = true;
            let text = format!("{} ended the connection", self.shown);
            return Err(Error::NotBegun(Fault::new(FaultKind::Closed, text)));
        }
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        let bytes = message::encode(id, operation, controls);
        self.under_way = Some(id);
        let sending = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        let until = deadline.min(Instant::now() + self.input.patience);
        let sent = timeout_at(until, sending).await;
        let fault = match sent {
            Ok(Ok(())) => return Ok(id),
            Ok(Err(error)) => closed(&self.shown, &error),
            Err(_) => silent(&self.shown),
        };
        self.broken = true;
        Err(Error::Unknown(fault))
    }

    async fn answer(&mut self, id: i32, deadline: Instant) -> Result<Answer, Error> {
        loop {
            let message = self.receive(id, deadline).await.map_err(Error::Unknown)?;
            if let Body::Answer(answer) = message.body {
                self.end();
                return Ok(answer);
            }
        }
    }

    fn end(&mut self) {
        self.under_way = None;
        self.used = Instant::now();
        self.proven = true;
    }

    async fn receive(&mut self, id: i32, deadline: Instant) -> Result<Message, Fault> {
        let received = loop {
            match self
                .input
                .receive(&mut self.stream, &self.shown, deadline)
                .await
            {
                Ok(message) if message.id == id => break Ok(message),
                Ok(message) if message.id == 0 => break Err(farewell(&self.shown, &message)),
                // Late: nobody waits for it any more.
                Ok(_) => {}
                Err(fault) => break Err(fault),
            }
        };
        self.broken |= received.is_err();
        received
    }
}

impl Input {
    pub(super) fn new(servers: &Servers) -> Self {
        Self {
            buffer: BytesMut::new(),
            most: servers.max_message,
            patience: servers.answer_timeout,
        }
    }

    /// The next message that is there whole.
    fn take(&mut self) -> Result<Option<Message>, message::Malformed> {
        let Some(length) = message::length(&self.buffer, self.most)? else {
            return Ok(None);
        };
        if self.buffer.len() < length {
            return Ok(None);
        }
        message::decode(self.buffer.split_to(length).freeze()).map(Some)
    }

    pub(super) async fn receive<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        shown: &str,
        deadline: Instant,
    ) -> Result<Message, Fault> {
        let until = deadline.min(Instant::now() + self.patience);
        loop {
            let taken = self.take().map_err(|error| {
                let text = format!("{shown} sends what is no LDAP: {error}");
                Fault::new(FaultKind::Garbled, text)
            })?;
            if let Some(message) = taken {
                return Ok(message);
            }
            self.buffer.reserve(CHUNK);
            let read = timeout_at(until, stream.read_buf(&mut self.buffer)).await;
            match read {
                Ok(Ok(0)) => return Err(closed(shown, &io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(closed(shown, &error)),
                Err(_) => return Err(silent(shown)),
            }
        }
    }
}

pub(super) fn closed(shown: &str, error: &io::Error) -> Fault {
    let text = if error.kind() == io::ErrorKind::UnexpectedEof {
        format!("{shown} ended the connection")
    } else {
        format!("the connection to {shown} broke: {error}")
    };
    Fault::new(FaultKind::Closed, text)
}

pub(super) fn silent(shown: &str) -> Fault {
    let text = format!("{shown} did not answer in time");
    Fault::new(FaultKind::Silent, text)
}

/// What the directory says of its own accord.
fn farewell(shown: &str, message: &Message) -> Fault {
    let said = match &message.body {
        Body::Answer(answer) if answer.oid.as_deref() == Some(NOTICE_OF_DISCONNECTION) => format!(
            ": {} {} {}",
            answer.code,
            code_name(answer.code),
            super::words(&answer.text)
        ),
        _ => String::new(),
    };
    let text = format!("{shown} ended the connection{said}");
    Fault::new(FaultKind::Closed, text)
}
