//! Messages of syslog: RFC 5424, over UDP (RFC 5426), TCP (RFC 6587, octet counting) or a Unix
//! socket.

use std::fmt::Write as _;
use std::io;

use portcullis_common::id::ServerId;
use rustix::system::uname;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};

use super::ALARM;
use super::record::time;
use super::sink::SinkError;
use crate::config::SyslogAt;
use crate::repository::AuditEntry;

/// `log audit`.
const FACILITY: u8 = 13;
/// The name of the structured data: the enterprise number is that of examples (RFC 5612), for this
/// product has none of its own.
const DATA: &str = "portcullis@32473";
/// Characters of one value.
const MAX_VALUE: usize = 256;
/// Characters of the text, which comes last.
const MAX_TEXT: usize = 700;

#[derive(Debug)]
pub(super) struct Syslog {
    at: SyslogAt,
    server: ServerId,
    host: String,
    /// Kept from one time to the next; `None`: to be opened.
    open: Option<Open>,
}

#[derive(Debug)]
enum Open {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

impl Syslog {
    pub(super) fn new(at: SyslogAt, server: ServerId) -> Self {
        let name = uname();
        let host = word(&name.nodename().to_string_lossy(), 255);
        Self {
            at,
            server,
            host,
            open: None,
        }
    }

    /// Handed to the system when this returns: that is all that syslog knows.
    pub(super) async fn send(&mut self, entries: &[&AuditEntry]) -> Result<(), SinkError> {
        let sent = self.try_send(entries).await;
        if sent.is_err() {
            self.open = None;
        }
        sent.map_err(|source| SinkError::Send {
            to: match &self.at {
                SyslogAt::Udp(at) => format!("syslog at udp://{at}"),
                SyslogAt::Tcp(at) => format!("syslog at tcp://{at}"),
                SyslogAt::Unix(path) => format!("syslog at {}", path.display()),
            },
            source,
        })
    }

    async fn try_send(&mut self, entries: &[&AuditEntry]) -> io::Result<()> {
        let mut open = match self.open.take() {
            // What the other side closed shows in nothing but the loss of what is sent.
            Some(Open::Tcp(stream)) if is_closed(&stream) => open(&self.at).await?,
            Some(open) => open,
            None => open(&self.at).await?,
        };
        for entry in entries {
            let message = self.message(entry);
            match &mut open {
                Open::Udp(socket) => drop(socket.send(message.as_bytes()).await?),
                Open::Unix(socket) => drop(socket.send(message.as_bytes()).await?),
                Open::Tcp(stream) => {
                    let framed = format!("{} {message}", message.len());
                    stream.write_all(framed.as_bytes()).await?;
                }
            }
        }
        self.open = Some(open);
        Ok(())
    }

    fn message(&self, entry: &AuditEntry) -> String {
        let priority = FACILITY * 8 + severity(entry);
        let mut message = format!(
            "<{priority}>1 {} {} portcullis-server {} {} [{DATA}",
            time(entry),
            self.host,
            std::process::id(),
            word(&entry.action, 32),
        );
        let (server, seq) = (self.server.to_string(), entry.seq.to_string());
        let fields = &entry.fields;
        for (name, value) in [
            ("server", server.as_str()),
            ("seq", &seq),
            ("subject", &entry.subject),
            ("action", &entry.action),
            ("object", &entry.object),
            ("outcome", &entry.outcome),
            ("call", &fields.call_id),
            ("resource", &fields.resource),
            ("class", &fields.object_class),
            ("name", &fields.object_name),
            ("user", &fields.user),
            ("gateway", &fields.gateway),
        ] {
            if !value.is_empty() {
                // Writing into a text does not fail.
                let _ = write!(message, " {name}=\"{}\"", escaped(value));
            }
        }
        message.push_str("] ");
        message.extend(text(entry).chars().take(MAX_TEXT));
        message
    }
}

async fn open(at: &SyslogAt) -> io::Result<Open> {
    Ok(match at {
        SyslogAt::Udp(at) => {
            let address = tokio::net::lookup_host(at).await?.next();
            let address = address.ok_or_else(|| io::Error::other("it has no address"))?;
            let any = if address.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            Open::Udp(socket)
        }
        SyslogAt::Tcp(at) => Open::Tcp(TcpStream::connect(at).await?),
        SyslogAt::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Open::Unix(socket)
        }
    })
}

/// A receiver of syslog never says anything: whatever can be read is its end.
fn is_closed(stream: &TcpStream) -> bool {
    let mut said = [0];
    !matches!(stream.try_read(&mut said), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// RFC 5424, section 6.2.1: 1 is an alert, 4 a warning, 6 for information.
fn severity(entry: &AuditEntry) -> u8 {
    match entry.outcome.as_str() {
        _ if entry.action == ALARM => 1,
        "failed" | "refused" | "indeterminate" | "unknown" => 4,
        _ => 6,
    }
}

fn text(entry: &AuditEntry) -> String {
    let AuditEntry {
        subject,
        action,
        object,
        outcome,
        detail,
        ..
    } = entry;
    let on = if object.is_empty() { "" } else { " on " };
    let why = if detail.is_empty() { "" } else { ": " };
    let said = format!("{subject}: {action}{on}{object}, {outcome}{why}{detail}");
    said.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Printable US-ASCII without a space, as the parts of the header are; `-` where nothing is left.
fn word(text: &str, most: usize) -> String {
    let printable = text.chars().filter(char::is_ascii_graphic);
    let word: String = printable.take(most).collect();
    if word.is_empty() {
        "-".to_owned()
    } else {
        word
    }
}

/// RFC 5424, section 6.3.3.
fn escaped(value: &str) -> String {
    let mut escaped = String::new();
    for letter in value.chars().take(MAX_VALUE) {
        match letter {
            '"' | '\\' | ']' => escaped.extend(['\\', letter]),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_the_message_or_becomes_another_field() {
        let syslog = Syslog::new(
            SyslogAt::Udp(String::new()),
            ServerId::random(&mut rand::rng()),
        );
        let message = syslog.message(&AuditEntry {
            seq: 7,
            time_ms: 1_700_000_000_123,
            subject: "eve\" outcome=\"done".to_owned(),
            action: "Gateway/Alarm and more than fits there".to_owned(),
            object: "a]b\\c\nd".to_owned(),
            outcome: "failed".to_owned(),
            ..AuditEntry::default()
        });
        let (head, data) = message.split_once(" [").unwrap();
        let words: Vec<_> = head.split(' ').collect();
        assert_eq!(words[0], "<108>1");
        assert_eq!(words[1], "2023-11-14T22:13:20.123Z");
        assert_eq!(words[3], "portcullis-server");
        assert_eq!(
            (words.len(), words[5]),
            (6, "Gateway/Alarmandmorethanfitsther")
        );
        assert!(
            data.contains("subject=\"eve\\\" outcome=\\\"done\""),
            "{data}"
        );
        assert!(data.contains("object=\"a\\]b\\\\c d\""), "{data}");
        assert!(!message.contains('\n'), "{message}");
    }
}
