//! What the server has recorded of the calls.

use std::collections::BTreeMap;

use portcullis_proto::admin::v1 as admin;
use portcullis_tests::harness::{Admin, OrFail as _};

use super::judge::{Records, kind_of};

/// Every call that is recorded.
pub(super) async fn records(admin: &Admin, broken: &mut Vec<String>) -> Records {
    let mut records = Records::new();
    let mut request = admin::ListQueuedRequest {
        all: true,
        ..admin::ListQueuedRequest::default()
    };
    loop {
        let page = admin.calls().list_queued(request.clone()).await;
        let page = page.or_fail("list the calls").into_inner();
        for call in page.calls {
            request.after = call.sequence;
            if let Some(twice) = records.insert(call.call_id.clone(), call) {
                broken.push(format!("call {} is recorded twice", twice.call_id));
            }
        }
        if !page.more {
            return records;
        }
    }
}

/// The last word of the audit log on each call is what is recorded, and it says once that it was
/// done.
pub(super) async fn check_audit(admin: &Admin, records: &Records, broken: &mut Vec<String>) {
    let mut client = admin.audit();
    let mut request = admin::ListAuditRequest::default();
    let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let page = client.list(request.clone()).await;
        let page = page.or_fail("read the audit log").into_inner();
        for entry in page.entries {
            if !entry.action.starts_with("Calls/") && records.contains_key(&entry.call_id) {
                words.entry(entry.call_id).or_default().push(entry.outcome);
            }
        }
        request.before = page.next_before;
        if request.before == 0 {
            break;
        }
    }
    for (id, record) in records {
        let none = Vec::new();
        // Newest first.
        let said = words.get(id).unwrap_or(&none);
        let outcome = record.outcome.as_ref().map_or("none", kind_of);
        if said.first().map(String::as_str) != Some(outcome) {
            broken.push(format!(
                "call {id} is {outcome}, and the audit log says {said:?}"
            ));
        }
    }
    let verified = client.verify(admin::VerifyAuditRequest::default()).await;
    let report = verified.or_fail("verify the audit log").into_inner();
    broken.extend(report.faults.into_iter().map(|fault| fault.what));
}
