//! Bytes ↔ handshake messages and record headers, with size caps.
