//! `Debug` for the messages that hold a secret: they say that one is there, never what it is.

use std::fmt;

use crate::admin::v1::{EnrolmentToken, ExportKeysResponse, ImportKeysRequest};
use crate::gateway::v1::{EnrolResponse, InstallRequest, Secret};

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

impl fmt::Debug for EnrolResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolResponse([redacted])")
    }
}

impl fmt::Debug for InstallRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstallRequest")
            .field("version", &self.version)
            .field("new_key_id", &self.new_key_id)
            .field("replaced_key_id", &self.replaced_key_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken")
            .field("expires_unix_ms", &self.expires_unix_ms)
            .finish_non_exhaustive()
    }
}

// An export is a secret where nothing but the public default key protects it.
impl fmt::Debug for ExportKeysResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportKeysResponse")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ImportKeysRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportKeysRequest")
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}
