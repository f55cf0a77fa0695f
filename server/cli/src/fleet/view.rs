//! How versions and upgrades look.

use std::time::SystemTime;

use portcullis_proto::admin::v1::{UpgradeCheckResponse, UpgradeStatusResponse, VersionFit};
use serde_json::{Value, json};

use crate::view::{View, list, printable};

/// Whether it is known not to fit.
pub(super) fn is_misfit(gateway: &VersionFit) -> bool {
    !gateway.fits && !is_unknown(gateway)
}

/// Whether it was never connected, so that it never said what it is.
fn is_unknown(gateway: &VersionFit) -> bool {
    gateway.version.is_empty()
}

impl View for UpgradeCheckResponse {
    fn table(&self, _: SystemTime) -> String {
        let word = |fits| if fits { "fits" } else { "DOES NOT FIT" };
        let server = vec![
            "this server".to_owned(),
            self.server_version.clone(),
            word(self.server_fits).to_owned(),
            match self.server_fits {
                true => String::new(),
                false => "it may be replaced by the next minor version only".to_owned(),
            },
        ];
        let told = self.gateways.iter().filter(|one| !is_unknown(one));
        let gateways = told.map(|one| {
            vec![
                one.gateway.clone(),
                one.version.clone(),
                word(one.fits).to_owned(),
                one.detail.clone(),
            ]
        });
        let table = list(
            &["program", "version", "result", "note"],
            std::iter::once(server).chain(gateways),
        );
        let unknown = self.gateways.iter().filter(|one| is_unknown(one));
        let unknown: Vec<_> = unknown.map(|one| printable(&one.gateway)).collect();
        match unknown.as_slice() {
            [] => table,
            names => format!(
                "{table}\n\nnever connected, so that nobody knows their version; install them in that one: {}",
                names.join(" ")
            ),
        }
    }

    fn json(&self) -> Value {
        json!({
            "server": { "version": self.server_version, "fits": self.server_fits },
            "gateways": self.gateways.iter().filter(|one| !is_unknown(one)).map(|one| json!({
                "gateway": one.gateway,
                "version": one.version,
                "fits": one.fits,
                "note": one.detail,
            })).collect::<Value>(),
            "never_connected": self.gateways.iter().filter(|one| is_unknown(one))
                .map(|one| &one.gateway).collect::<Vec<_>>(),
        })
    }
}

impl View for UpgradeStatusResponse {
    fn table(&self, now: SystemTime) -> String {
        let Some(task) = &self.task else {
            return "no upgrade was started yet, or none is remembered".to_owned();
        };
        let rows = self.waves.iter().map(|wave| {
            vec![
                wave.name.clone(),
                wave.state.clone(),
                if wave.released { "yes" } else { "no" }.to_owned(),
                wave.note.clone(),
                wave.gateways.join(" "),
            ]
        });
        let heading = ["wave", "state", "released", "note", "gateways"];
        format!(
            "to version {}\n\n{}\n\n{}",
            printable(&self.version),
            list(&heading, rows),
            task.table(now)
        )
    }

    fn json(&self) -> Value {
        json!({
            "version": self.version,
            "task": self.task.as_ref().map(View::json),
            "waves": self.waves.iter().map(|wave| json!({
                "wave": wave.name,
                "state": wave.state,
                "released": wave.released,
                "note": wave.note,
                "gateways": wave.gateways,
            })).collect::<Value>(),
        })
    }
}
