//! One connection through the relay, and how it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use super::pump::{Ends, Traffic};
use super::{Forward, Limits};

/// Silence before the system asks whether an end lives.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How often within the time for silence it is looked whether there was any.
const LOOKS: u32 = 4;

type Pumping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection over which bytes have gone in both directions.
pub(super) struct Connection {
    pumping: Pumping,
    traffic: Arc<Traffic>,
}

/// Dials the target, and carries bytes until there were some in both directions: all of it by
/// `deadline`.
pub(super) async fn open(
    near: TcpStream,
    forward: &Forward,
    limits: Limits,
    deadline: Instant,
) -> Result<Connection, String> {
    let target = &forward.target;
    let time = limits.half_open_time;
    let far = match timeout_at(deadline, TcpStream::connect(target)).await {
        Ok(Ok(far)) => far,
        Ok(Err(error)) => return Err(format!("cannot connect to {target}: {error}")),
        Err(_) => return Err(format!("{target} does not answer within {time:?}")),
    };
    prepare(&near);
    prepare(&far);
    let traffic = Arc::new(Traffic::default());
    let ends = Ends::new(near, far, limits.buffer, time, Arc::clone(&traffic));
    let mut pumping: Pumping = Box::pin(ends.pump());
    let both = timeout_at(deadline, traffic.until_both_ways());
    tokio::select! {
        both = both => match both {
            Ok(()) => Ok(Connection { pumping, traffic }),
            Err(_) => Err(format!("it was half-open for longer than {time:?}")),
        },
        () = &mut pumping => match traffic.both_ways() {
            true => Ok(Connection { pumping: Box::pin(async {}), traffic }),
            false => Err("it was closed before both ends had said something".to_owned()),
        },
    }
}

impl Connection {
    /// Carries bytes until both directions are closed, one fails, or both are silent for `idle`.
    pub(super) async fn carry(self, idle: Duration) {
        let Self { pumping, traffic } = self;
        tokio::select! {
            () = pumping => {}
            () = silence(&traffic, idle) => {
                tracing::debug!("a connection was silent for {idle:?}, and is closed");
            }
        }
    }
}

/// Ends when nothing has moved for `idle`, and at most a quarter of that later.
async fn silence(traffic: &Traffic, idle: Duration) {
    let (mut seen, mut quiet) = (traffic.moved(), 0);
    while quiet < LOOKS {
        sleep(idle / LOOKS).await;
        let now = traffic.moved();
        quiet = if now == seen { quiet + 1 } else { 0 };
        seen = now;
    }
}

fn prepare(io: &TcpStream) {
    let set = io
        .set_nodelay(true)
        .and_then(|()| Ok(sockopt::set_socket_keepalive(io, true)?))
        .and_then(|()| Ok(sockopt::set_tcp_keepidle(io, TCP_KEEP_ALIVE)?));
    if let Err(error) = set {
        tracing::debug!(%error, "a connection goes without keep-alive");
    }
}
