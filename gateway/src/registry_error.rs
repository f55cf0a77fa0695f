//! Windows: what the registry says, as an error of the system.

use std::io;

/// The error of the system within the `HRESULT`.
pub(crate) fn io<T>(result: windows_registry::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::from_raw_os_error(error.code().0 & 0xFFFF))
}
