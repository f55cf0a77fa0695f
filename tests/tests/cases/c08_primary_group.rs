//! Groups under a prefix that the host itself has under another number, or not at all.

use crate::host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_looked_up_where_the_account_is() {
    let Some(host) = Host::new("[connectors.local.guard_rails]\nprotected_ids_below = 0\n").await
    else {
        return;
    };
    host.portcullis("account create unix1 p3").ok();
    host.append(
        "etc/group",
        b"plugdev:x:5000:\nsecret:x:46:\nunknown:x:5001:\n",
    );
    for (name, gid) in [("plugdev", 5000), ("unknown", 5001), ("secret", 46)] {
        host.portcullis(&format!(
            "account update unix1 p3 --set primary_group={name}"
        ))
        .ok();
        let account = host.account("p3");
        let attributes = &account["object"]["attributes"];
        assert_eq!(attributes["gid"], serde_json::json!([gid]), "{account}");
        assert_eq!(attributes["primary_group"], serde_json::json!([name]));
    }
}
