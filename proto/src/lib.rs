//! What goes over the wire.
//!
//! * [`gateway`]: the services that a gateway offers to the central server, inside the sealed channel.
//! * [`admin`]: the services that the central server offers to administrators and integrators.
//!
//! `PROTOCOL.md` beside this crate specifies the sealed channel that carries [`gateway`], byte by byte.
#![forbid(unsafe_code)]

mod redacted;
mod secrets;
mod verb;

/// Services that a gateway offers to the central server (`gateway.proto`).
pub mod gateway {
    /// Version 1.
    #[allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::pedantic
    )]
    pub mod v1 {
        tonic::include_proto!("portcullis.gateway.v1");
    }
}

/// Services that the central server offers to administrators and integrators (`admin.proto`).
pub mod admin {
    /// Version 1.
    #[allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::pedantic
    )]
    pub mod v1 {
        tonic::include_proto!("portcullis.admin.v1");
    }
}
