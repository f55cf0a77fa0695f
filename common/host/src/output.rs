//! Standard output: written whole, or told that it was not.

use std::io::{self, Write as _};

/// Writes all of a text to standard output. A pipe whose reader went away wants no more, which is
/// no error: what was asked for is done.
///
/// # Errors
/// What the system said, of any other fault: the disk is full, the terminal is gone.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// As [`print()`], where the text has to reach its reader: one who went away is an error too.
///
/// # Errors
/// What the system said.
pub fn deliver(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// Whether standard output would take some more, as far as that can be told without writing: a pipe
/// has a reader, a disk has room.
///
/// # Errors
/// What the system would say of a write.
#[cfg(unix)]
pub fn takes_more() -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let out = io::stdout();
    let stat = rustix::fs::fstat(&out)?;
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::Fifo | rustix::fs::FileType::Socket => {
            let mut polled = [PollFd::new(&out, PollFlags::OUT)];
            poll(&mut polled, Some(&Timespec::default()))?;
            if polled[0]
                .revents()
                .intersects(PollFlags::ERR | PollFlags::NVAL)
            {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        rustix::fs::FileType::CharacterDevice => {
            // Nothing is written, and a device that is full says so all the same.
            rustix::io::write(&out, &[])?;
        }
        rustix::fs::FileType::RegularFile => room(&out, stat.st_size)?,
        _ => {}
    }
    Ok(())
}

/// Makes sure that a file can grow, without making it longer.
#[cfg(target_os = "linux")]
fn room(out: &io::Stdout, length: i64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    const ROOM: u64 = 4096;
    let length = u64::try_from(length).unwrap_or_default();
    match fallocate(out, FallocateFlags::KEEP_SIZE, length, ROOM) {
        // A file system that cannot tell.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV | Errno::SPIPE) => Ok(()),
        told => Ok(told?),
    }
}

/// This system cannot tell.
#[cfg(all(unix, not(target_os = "linux")))]
#[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
fn room(_: &io::Stdout, _: i64) -> io::Result<()> {
    Ok(())
}
