//! Whether a worker answers, asked from outside: by an administrator's command.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a worker may take: one that works takes no time at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why the worker at this socket, which runs, does not answer; `None`: it does, or this user may
/// not ask. It is connected to and told nothing, which it answers by closing the connection.
pub fn silence(socket: &Path) -> Option<String> {
    silence_within(socket, PATIENCE)
}

fn silence_within(socket: &Path, patience: Duration) -> Option<String> {
    let (tell, told) = mpsc::channel();
    let path = socket.to_owned();
    // To connect takes as long as it likes where others wait already; the thread ends with this
    // command.
    thread::spawn(move || tell.send(ask(&path)));
    let why = match told.recv_timeout(patience) {
        Ok(Ok(())) => return None,
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => return None,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("nothing within {} s", patience.as_secs_f32()),
    };
    Some(format!("does not answer at {}: {why}", socket.display()))
}

fn ask(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.shutdown(Shutdown::Write)?;
    match stream.read(&mut [0]) {
        // It was turned away, which takes somebody who is awake.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        read => read.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn whoever_closes_the_connection_lives_and_whoever_is_not_there_or_does_nothing_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let missing = silence(&path).unwrap();
        assert!(missing.contains("No such file"), "{missing}");
        let listener = UnixListener::bind(&path).unwrap();
        let hung = silence_within(&path, Duration::from_millis(50)).unwrap();
        assert!(hung.contains("nothing within 0.05 s"), "{hung}");
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                drop(stream);
            }
        });
        assert_eq!(silence(&path), None);
    }
}
