//! A comment in ISO 8859-1.

use crate::host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_nobody_asked_to_change_stay() {
    let Some(host) = Host::new("").await else {
        return;
    };
    let line: &[u8] = b"lat:x:1602:100:J\xF6rg B\xE4r,B\xF6ro 12,555-1234:/home/lat:/bin/bash\n";
    host.append("etc/passwd", line);
    let has = |line: &[u8]| {
        let passwd = host.read("etc/passwd");
        passwd.windows(line.len()).any(|part| part == line)
    };
    let update = |set: &str| host.portcullis(&format!("account update unix1 lat --set '{set}'"));
    update("full_name=Joerg Baer").refused().saying("`gecos`");
    assert!(has(line));
    update("shell=/bin/sh").ok();
    assert!(has(
        b"lat:x:1602:100:J\xF6rg B\xE4r,B\xF6ro 12,555-1234:/home/lat:/bin/sh\n"
    ));
    let shown = host.account("lat");
    let gecos = &shown["object"]["attributes"]["gecos"];
    assert_eq!(
        *gecos,
        serde_json::json!(["J\\xF6rg B\\xE4r,B\\xF6ro 12,555-1234"])
    );
    update("gecos=Joerg Baer,Buero 12").ok();
    assert!(has(b":Joerg Baer,Buero 12:"));
}
