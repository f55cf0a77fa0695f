//! An etc that cannot be written.

use crate::host::Host;
use crate::namespace::{is_inside, mount};

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_etc_is_named_by_the_test_and_by_each_change() {
    let name = "c14_read_only::a_read_only_etc_is_named_by_the_test_and_by_each_change";
    if !is_inside(name) {
        return;
    }
    let Some(host) = Host::new("").await else {
        return;
    };
    host.portcullis("resource test unix1").ok();
    // The gateway sees it, for it is in the same namespace.
    let etc = host.root.join("etc");
    mount(&["--bind", &etc.display().to_string()], &etc);
    mount(&["-o", "remount,bind,ro"], &etc);
    for line in ["resource test unix1", "account create unix1 roa"] {
        host.portcullis(line).refused().saying("mounted read-only");
    }
}
