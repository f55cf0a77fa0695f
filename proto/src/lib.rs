//! What goes over the wire.
//!
//! * [`gateway`]: the services that a gateway offers to the central server, inside the sealed
//!   channel.
//! * [`worker`]: what the processes of a gateway say to one another, on their host.
//! * [`peer`]: what the servers of one repository ask of one another, inside the sealed channel.
//! * [`admin`]: the services that the central server offers to administrators and integrators.
//!
//! `PROTOCOL.md` beside this crate specifies the sealed channel that carries [`gateway`], byte by
//! byte.
#![forbid(unsafe_code)]

pub mod control;
pub mod gateway_file;
pub mod grpc;
mod redacted;
mod secrets;
mod verb;

/// Services that a gateway offers to the central server (`gateway.proto`).
#[path = "generated"]
pub mod gateway {
    /// Version 1.
    #[allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::pedantic
    )]
    #[rustfmt::skip]
    #[path = "gateway.rs"]
    pub mod v1;
}

/// What the processes of a gateway say to one another (`worker.proto`).
#[path = "generated"]
pub mod worker {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    #[rustfmt::skip]
    #[path = "worker.rs"]
    pub mod v1;
}

/// What the servers of one repository ask of one another (`peer.proto`).
#[path = "generated"]
pub mod peer {
    /// Version 1.
    #[allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::pedantic
    )]
    #[rustfmt::skip]
    #[path = "peer.rs"]
    pub mod v1;
}

/// Services that the central server offers to administrators and integrators (`admin.proto`).
#[path = "generated"]
pub mod admin {
    /// Version 1.
    #[allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::pedantic
    )]
    #[rustfmt::skip]
    #[path = "admin.rs"]
    pub mod v1;
}

/// What every gRPC server may offer, in the terms of the gRPC project (`grpc/`).
#[path = "generated"]
pub mod standard {
    /// The health checking protocol, version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    #[rustfmt::skip]
    pub mod health; /// Server reflection, version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    #[rustfmt::skip]
    pub mod reflection;
}

/// What server reflection tells of the services of the administrators' API.
#[path = "generated"]
pub mod reflected {
    /// A `.proto` file.
    #[derive(Clone, Copy, Debug)]
    pub struct File {
        /// As other files import it.
        pub name: &'static str,
        /// The full names of its messages, enumerations, services and methods, in order.
        pub symbols: &'static [&'static str],
        /// Its `FileDescriptorProto`.
        pub encoded: &'static [u8],
    }

    #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    #[rustfmt::skip]
    #[path = "reflected.rs"]
    mod made;

    pub use made::{FILES, SERVICES};
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use sha2::{Digest as _, Sha256};

    fn digest(bytes: &[u8]) -> String {
        Sha256::digest(bytes)
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    #[test]
    fn the_generated_code_is_that_of_the_proto_files() {
        let gateway = ("gateway.proto", include_str!("../gateway.proto"));
        let admin = ("admin.proto", include_str!("../admin.proto"));
        let worker = ("worker.proto", include_str!("../worker.proto"));
        let peer = ("peer.proto", include_str!("../peer.proto"));
        let health = (
            "grpc/health/v1/health.proto",
            include_str!("../grpc/health/v1/health.proto"),
        );
        let reflection = (
            "grpc/reflection/v1/reflection.proto",
            include_str!("../grpc/reflection/v1/reflection.proto"),
        );
        let makers = [
            (
                "generate/src/main.rs",
                include_str!("../generate/src/main.rs"),
            ),
            (
                "generate/src/reflected.rs",
                include_str!("../generate/src/reflected.rs"),
            ),
            (
                "generate/src/services.rs",
                include_str!("../generate/src/services.rs"),
            ),
        ];
        for (generated, sources) in [
            (include_str!("generated/gateway.rs"), vec![gateway]),
            (include_str!("generated/admin.rs"), vec![gateway, admin]),
            (include_str!("generated/worker.rs"), vec![gateway, worker]),
            (include_str!("generated/peer.rs"), vec![peer]),
            (include_str!("generated/health.rs"), vec![health]),
            (include_str!("generated/reflection.rs"), vec![reflection]),
            (
                include_str!("generated/reflected.rs"),
                vec![gateway, admin, health, reflection],
            ),
        ] {
            let mut lines = generated.split_inclusive('\n').skip(1);
            for (name, text) in sources.into_iter().chain(makers) {
                let expected = format!("// {name} {}\n", digest(text.as_bytes()));
                assert_eq!(
                    lines.next(),
                    Some(&*expected),
                    "{name} has changed since: run `cargo run -p portcullis-generate`, and commit proto/src/generated"
                );
            }
            let below = lines.next().expect("a digest of the rest");
            let rest: String = lines.collect();
            assert_eq!(
                below,
                format!("// below {}\n", digest(rest.as_bytes())),
                "edited by hand"
            );
        }
    }
}
