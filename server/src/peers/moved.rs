//! What a server says that was asked for what needs a link which another one has by now.

use tonic::Status;
use tonic::metadata::MetadataValue;

/// What such a status has: nothing was begun.
const MOVED: &str = "portcullis-moved";

/// Another server has the link by now: nothing was begun.
pub fn moved() -> Status {
    let mut status = Status::unavailable("another server has the gateway's link by now");
    let moved = MetadataValue::from_static("true");
    status.metadata_mut().insert(MOVED, moved);
    status
}

/// Whether a server that was asked says so.
pub fn is_moved(status: &Status) -> bool {
    status.metadata().contains_key(MOVED)
}
