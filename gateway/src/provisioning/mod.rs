//! The provisioning service: receives calls and has the connectors carry them out.
