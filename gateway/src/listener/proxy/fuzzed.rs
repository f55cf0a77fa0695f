//! The reader of a proxy's answer, for its fuzz target.

use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::answered;
use crate::config::Proxy;

/// The proxy's address, which each error names.
pub const PROXY: &str = "proxy.example.com:3128";

/// What comes of these bytes where a proxy says them that was asked with credentials or without:
/// how many of them are left for the server's, or the error as it is told.
///
/// # Errors
/// The error's text.
pub fn read(bytes: &[u8], credentials: bool) -> Result<usize, String> {
    let proxy = Proxy {
        address: PROXY.to_owned(),
        credentials: credentials.then(|| PathBuf::from("/etc/portcullis/proxy")),
    };
    let mut rest = bytes;
    let read = {
        let reading = pin!(answered(&mut rest, &proxy, "central.example.com:9279"));
        reading.poll(&mut Context::from_waker(Waker::noop()))
    };
    match read {
        Poll::Ready(Ok(())) => Ok(rest.len()),
        Poll::Ready(Err(error)) => Err(error.to_string()),
        Poll::Pending => Err("it waits for bytes that are all there".to_owned()),
    }
}
