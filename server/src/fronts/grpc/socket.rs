//! The Unix socket that the admin API is served on: its owner's alone, or also a group's that the
//! configuration names.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;

use super::identity::Peer;
use portcullis_host::private_files::create_private_dir;

/// Connections of one user at once.
const MAX_OF_USER: usize = 64;
/// Connections of all users at once.
const MAX_CONNECTIONS: usize = 512;

/// Why the admin socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another server is there.
    #[error(
        "a server already listens at {}: stop it, or set another [admin] socket", path.display()
    )]
    Live {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is there.
    #[error("{} is there and is no socket: move it away, or set another [admin] socket", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen at {}: {source}; check the folder's permissions, or set another [admin] socket", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The admin socket, listening. Its file goes away with it.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl AdminSocket {
    /// Listens at `path` with mode 0600, or with 0660 for `group`. What a dead server left there is
    /// cleared away; its folder is made where it is missing, and gets the group and the mode that
    /// `group` asks for where it holds nothing else.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn bind(path: &Path, group: Option<u32>) -> Result<Self, SocketError> {
        let failed = |source| SocketError::System {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            if !folder.exists() {
                create_private_dir(folder).map_err(failed)?;
            }
            set_up(folder, path, group).map_err(failed)?;
        }
        clear_stale(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        // Whoever connects before this line is still asked for its user id.
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        if let Some(group) = group {
            share(path, group, 0o660).map_err(failed)?;
        }
        let inode = std::fs::symlink_metadata(path).map_err(failed)?.ino();
        Ok(Self {
            listener,
            file: SocketFile {
                path: path.to_owned(),
                inode,
            },
        })
    }

    /// The connections, and the file that goes away when this is dropped.
    pub(super) fn into_connections(
        self,
    ) -> (impl Stream<Item = io::Result<AdminStream>>, SocketFile) {
        let open = Open::default();
        let connections = UnixListenerStream::new(self.listener).filter_map(move |stream| {
            let stream = match stream {
                Ok(stream) => stream,
                Err(error) => return Some(Err(error)),
            };
            let uid = stream.peer_cred().ok().map(|peer| peer.uid());
            let place = open.admit(uid)?;
            Some(Ok(AdminStream {
                stream,
                _place: place,
            }))
        });
        (connections, self.file)
    }
}

/// The connections that are open, by user: nobody who may open the socket takes all file
/// descriptors of the server.
#[derive(Clone, Debug, Default)]
struct Open(Arc<Mutex<HashMap<Option<u32>, usize>>>);

impl Open {
    /// `None`: this user has too many open, or all users together. The latter does not hold for
    /// root and the server's own.
    fn admit(&self, uid: Option<u32>) -> Option<Place> {
        let own = rustix::process::geteuid().as_raw();
        let trusted = uid.is_some_and(|uid| uid == 0 || uid == own);
        let mut open = self.lock();
        let total = open.values().sum::<usize>() + 1;
        let of_user = open.get(&uid).copied().unwrap_or_default() + 1;
        if of_user > MAX_OF_USER || (total > MAX_CONNECTIONS && !trusted) {
            return None;
        }
        // Told once, not for each that is turned away.
        if of_user == MAX_OF_USER || total == MAX_CONNECTIONS {
            tracing::warn!(
                ?uid,
                of_user,
                total,
                "the admin socket takes no further connection until one ends"
            );
        }
        open.insert(uid, of_user);
        Some(Place {
            open: self.clone(),
            uid,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<u32>, usize>> {
        // Whole at every moment, whoever panicked meanwhile.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among those that are open; free again when dropped.
#[derive(Debug)]
struct Place {
    open: Open,
    uid: Option<u32>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(of_user) = open.get_mut(&self.uid) {
            *of_user -= 1;
            if *of_user == 0 {
                open.remove(&self.uid);
            }
        }
    }
}

/// Removes the socket's file when dropped, unless another server's has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the admin socket");
        }
    }
}

/// Gives the socket's folder the group and the mode that it would have were it made now. A folder
/// that holds more than the socket, or is another user's, is left as it is; the log says so where
/// the group cannot get through it.
fn set_up(folder: &Path, socket: &Path, group: Option<u32>) -> io::Result<()> {
    let wanted = match group {
        Some(_) => 0o750,
        None => 0o700,
    };
    let Some(what) = folder_fault(folder, group)? else {
        return Ok(());
    };
    if !is_for_socket_alone(folder, socket)? {
        tracing::warn!("{what}; it is left as it is, for it holds more than the admin socket");
        return Ok(());
    }
    match group {
        Some(group) => share(folder, group, wanted)?,
        None => std::fs::set_permissions(folder, Permissions::from_mode(wanted))?,
    }
    tracing::info!(folder = %folder.display(), mode = %format!("{wanted:04o}"), "the admin socket's folder is as configured now");
    Ok(())
}

/// Why a member of `group` cannot reach what lies in `folder`, or, without a group, why others than
/// its owner can though it was made for them; `None`: all is well. A folder that everybody may pass
/// through is well.
fn folder_fault(folder: &Path, group: Option<u32>) -> io::Result<Option<String>> {
    let metadata = std::fs::metadata(folder)?;
    let (mode, gid) = (metadata.mode() & 0o7777, metadata.gid());
    let through_group = mode & 0o010 != 0;
    let fault = match group {
        _ if mode & 0o001 != 0 => None,
        Some(group) if gid == group && through_group => None,
        Some(group) => Some(format!(
            "{path} has mode {mode:04o} and belongs to group {gid}, so that the members of [admin] socket_group ({group}) cannot reach the admin socket: `chgrp {group} {path} && chmod g+x {path}`",
            path = folder.display()
        )),
        None if mode & 0o070 != 0 => Some(format!(
            "{path} has mode {mode:04o}, though no [admin] socket_group is configured: `chmod 0700 {path}`",
            path = folder.display()
        )),
        None => None,
    };
    Ok(fault)
}

/// It is this user's, and nothing else lies in it.
fn is_for_socket_alone(folder: &Path, socket: &Path) -> io::Result<bool> {
    let own = rustix::process::geteuid().as_raw();
    if std::fs::metadata(folder)?.uid() != own {
        return Ok(false);
    }
    for entry in std::fs::read_dir(folder)? {
        if Some(entry?.file_name().as_os_str()) != socket.file_name() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a start would find in the way of an admin socket at `path`, for `group`. Changes nothing.
///
/// # Errors
/// [`SocketError`]; `Live` where a server runs there.
pub fn inspect(path: &Path, group: Option<u32>) -> Result<Vec<String>, SocketError> {
    let failed = |source| SocketError::System {
        path: path.to_owned(),
        source,
    };
    let mut found = Vec::new();
    let Some(folder) = path.parent().filter(|folder| folder.exists()) else {
        return Ok(found);
    };
    if let Some(fault) = folder_fault(folder, group).map_err(failed)?
        && !is_for_socket_alone(folder, path).map_err(failed)?
    {
        found.push(fault);
    }
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        rustix::fs::access(
            folder,
            rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
        )
        .map_err(|error| failed(error.into()))?;
        return Ok(found);
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket {
            path: path.to_owned(),
        });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(SocketError::Live {
            path: path.to_owned(),
        }),
        Err(_) => Ok(found),
    }
}

/// Gives `path` to `group`, and then to its members what `mode` says.
fn share(path: &Path, group: u32, mode: u32) -> io::Result<()> {
    std::os::unix::fs::chown(path, None, Some(group))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

fn clear_stale(path: &Path) -> Result<(), SocketError> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    let path_buf = path.to_owned();
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket { path: path_buf });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(SocketError::Live { path: path_buf }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| SocketError::System {
                path: path_buf,
                source,
            })
        }
        Err(source) => Err(SocketError::System {
            path: path_buf,
            source,
        }),
    }
}

/// A connection to the admin socket, which knows whose it is.
#[derive(Debug)]
pub(super) struct AdminStream {
    stream: UnixStream,
    _place: Place,
}

impl Connected for AdminStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        let credentials = self.stream.peer_cred().ok();
        Peer {
            uid: credentials.map(|credentials| credentials.uid()),
            gid: credentials.map(|credentials| credentials.gid()),
        }
    }
}

impl AsyncRead for AdminStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for AdminStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_goes_away_with_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/admin.sock");
        let socket = AdminSocket::bind(&path, None).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        let run = path.parent().unwrap();
        assert_eq!(run.metadata().unwrap().mode() & 0o777, 0o700);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn nobody_takes_all_connections() {
        let open = Open::default();
        let mut places: Vec<_> = (0..MAX_OF_USER)
            .map(|_| open.admit(Some(4_000)).unwrap())
            .collect();
        assert!(open.admit(Some(4_000)).is_none());
        places.pop();
        places.push(open.admit(Some(4_000)).unwrap());
        let others = (4_001..).map(Some).flat_map(|uid| [uid; MAX_OF_USER]);
        places.extend(others.map_while(|uid| open.admit(uid)));
        assert_eq!(places.len(), MAX_CONNECTIONS);
        assert!(open.admit(Some(5_000)).is_none());
        assert!(open.admit(Some(0)).is_some());
        drop(places);
        assert!(open.lock().is_empty());
    }

    #[tokio::test]
    async fn a_group_may_open_the_socket_where_the_configuration_names_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/admin.sock");
        let group = rustix::process::getegid().as_raw();
        let _socket = AdminSocket::bind(&path, Some(group)).unwrap();
        for (path, mode) in [(path.as_path(), 0o660), (path.parent().unwrap(), 0o750)] {
            let metadata = path.metadata().unwrap();
            assert_eq!((metadata.mode() & 0o777, metadata.gid()), (mode, group));
        }
    }

    #[tokio::test]
    async fn a_folder_from_before_gets_what_the_configuration_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/admin.sock");
        let run = path.parent().unwrap();
        let mode = || run.metadata().unwrap().mode() & 0o777;
        let group = rustix::process::getegid().as_raw();
        // As the first start without a group made it, and back again.
        drop(AdminSocket::bind(&path, None).unwrap());
        assert_eq!(mode(), 0o700);
        drop(AdminSocket::bind(&path, Some(group)).unwrap());
        assert_eq!(mode(), 0o750);
        drop(AdminSocket::bind(&path, None).unwrap());
        assert_eq!(mode(), 0o700);
        // A folder with more in it is somebody's: it is not changed, and that is told.
        std::fs::write(run.join("other"), "").unwrap();
        let told = inspect(&path, Some(group)).unwrap();
        assert!(told[0].contains("chmod g+x"), "{told:?}");
        let socket = AdminSocket::bind(&path, Some(group)).unwrap();
        assert_eq!(mode(), 0o700);
        let live = inspect(&path, Some(group));
        assert!(matches!(live, Err(SocketError::Live { .. })));
        drop(socket);
        // Everybody may pass: nothing is wrong with that.
        std::fs::set_permissions(run, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(inspect(&path, Some(group)).unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_dead_servers_socket_is_cleared_and_a_live_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener of std leaves its file behind");
        let socket = AdminSocket::bind(&path, None).unwrap();
        let error = AdminSocket::bind(&path, None).unwrap_err();
        assert!(matches!(error, SocketError::Live { .. }), "{error}");
        // The one that lives was not disturbed.
        UnixStream::connect(&path).await.unwrap();
        drop(socket);
    }

    #[tokio::test]
    async fn a_file_in_its_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        std::fs::write(&path, "precious").unwrap();
        let error = AdminSocket::bind(&path, None).unwrap_err();
        assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
