//! The connector for Active Directory, against Samba, and through a relay that does what Windows
//! does beyond it.

mod accounts;
mod end_to_end;
mod groups;
mod guard_rails;
mod hostile;
mod log_in;
mod renewal;
mod servers;
mod sync;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_directories::{Samba, Tools};
use portcullis_gateway::config::Config;
use portcullis_gateway::connector::{Changes, Connector, Context, Found};
use portcullis_gateway::connectors::{Configured, Connectors};
use portcullis_gateway::model::{
    Attribute, AttributeName, CallError, CallId, Change, Cookie, Create, Failure, Get,
    Modification, Object, ObjectClass, ObjectId, ObjectName, ObjectRef, Operation, Password,
    Request, Search, Selector, SyncToken, Update, Value,
};
use portcullis_tests::harness::Site;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) const PASSWORD: &str = "C0rrect-Horse";

/// An organizational unit of its own in a domain, and a connector for it.
pub(crate) struct Domain {
    pub(crate) samba: Arc<Samba>,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) configured: Configured,
    pub(crate) base: String,
    /// What names end with, for they are those of the whole domain.
    tag: String,
    _site: Site,
}

impl Domain {
    /// In the domain that tests share.
    pub(crate) async fn new() -> Self {
        let samba = Samba::shared().await;
        let url = samba.url();
        Self::at(samba, &[url], "")
    }

    /// The same by other servers, with further keys.
    pub(crate) fn at(samba: Arc<Samba>, urls: &[String], more: &str) -> Self {
        let tag = format!("{:06x}", rand::random::<u32>() & 0xff_ffff);
        let base = format!("OU=t{tag},{}", Samba::SUFFIX);
        let unit = format!("dn: {base}\nobjectClass: organizationalUnit\n");
        samba.tools().apply(&unit);
        Self::with_base(samba, urls, &base, more, tag)
    }

    pub(crate) fn with_base(
        samba: Arc<Samba>,
        urls: &[String],
        base: &str,
        more: &str,
        tag: String,
    ) -> Self {
        let site = Site::new();
        let configured = configured(&site, &samba, urls, base, more);
        Self {
            connector: Arc::clone(&configured.connector),
            configured,
            base: base.to_owned(),
            samba,
            tag,
            _site: site,
        }
    }

    /// The same unit by other servers or with further keys.
    pub(crate) fn again(&self, urls: &[String], more: &str) -> Self {
        Self::with_base(
            Arc::clone(&self.samba),
            urls,
            &self.base,
            more,
            self.tag.clone(),
        )
    }

    pub(crate) fn tools(&self) -> Tools {
        self.samba.tools()
    }

    /// A name in this unit.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.tag)
    }

    pub(crate) fn dn(&self, name: &str) -> String {
        format!("CN={},{}", self.name(name), self.base)
    }

    pub(crate) fn account(&self, name: &str) -> ObjectRef {
        by_name(ObjectClass::Account, &self.name(name))
    }

    pub(crate) fn group(&self, name: &str) -> ObjectRef {
        by_name(ObjectClass::Group, &self.name(name))
    }

    pub(crate) fn create(&self, class: ObjectClass, name: &str) -> Create {
        Create {
            class,
            name: ObjectName::new(self.name(name)).unwrap(),
            attributes: Vec::new(),
            password: (class == ObjectClass::Account).then(|| password(PASSWORD)),
            enabled: true,
        }
    }

    pub(crate) async fn make(&self, name: &str) -> Object {
        let create = self.create(ObjectClass::Account, name);
        self.connector.create(&context(), create).await.unwrap()
    }

    pub(crate) async fn make_group(&self, name: &str) -> Object {
        let create = self.create(ObjectClass::Group, name);
        self.connector.create(&context(), create).await.unwrap()
    }

    pub(crate) async fn get(&self, object: ObjectRef) -> Result<Object, CallError> {
        let get = Get {
            object,
            attributes: Vec::new(),
        };
        self.connector.get(&context(), &get).await
    }

    pub(crate) async fn update(
        &self,
        object: ObjectRef,
        operation: Operation,
        name: &str,
        values: Vec<Value>,
    ) -> Result<Object, CallError> {
        let update = Update {
            object,
            modifications: vec![Modification {
                operation,
                name: AttributeName::new(name).unwrap(),
                values,
            }],
        };
        self.connector.update(&context(), update).await
    }

    pub(crate) async fn log_in(&self, name: &str, tried: &str) -> Result<(), Failure> {
        let cx = context();
        let tried = self
            .connector
            .authenticate(&cx, self.account(name), password(tried));
        tried.await.map_err(failure)
    }

    /// Every object of a class, page by page.
    pub(crate) async fn all(&self, class: ObjectClass) -> Result<Vec<Object>, CallError> {
        self.all_by(class, Some(700)).await
    }

    /// The same in pages of this size; `None`: at once.
    pub(crate) async fn all_by(
        &self,
        class: ObjectClass,
        page_size: Option<usize>,
    ) -> Result<Vec<Object>, CallError> {
        let mut all = Vec::new();
        let mut cookie = Cookie::default();
        loop {
            let search = Search {
                class,
                filter: None,
                attributes: Vec::new(),
                page_size,
                cookie: cookie.clone(),
            };
            let (sender, mut receiver) = mpsc::channel(10_000);
            let mut found = Found::new(sender, page_size.unwrap_or(10_000));
            let searched = self.connector.search(&context(), &search, &mut found).await;
            drop(found);
            while let Some(object) = receiver.recv().await {
                all.push(object);
            }
            cookie = searched?;
            if cookie.is_empty() {
                return Ok(all);
            }
        }
    }

    /// What changed since a token, and the next one.
    pub(crate) async fn changes(
        &self,
        class: ObjectClass,
        token: &SyncToken,
    ) -> Result<(Vec<Change>, SyncToken), CallError> {
        let (sender, mut receiver) = mpsc::channel(10_000);
        let mut changes = Changes::new(sender);
        let next = self
            .connector
            .sync(&context(), class, token, &mut changes)
            .await?;
        drop(changes);
        let mut all = Vec::new();
        while let Some(change) = receiver.recv().await {
            all.push(change);
        }
        Ok((all, next))
    }

    pub(crate) fn create_request(&self, name: &str) -> Request {
        Request::Create(self.create(ObjectClass::Account, name))
    }
}

fn configured(site: &Site, samba: &Samba, urls: &[String], base: &str, more: &str) -> Configured {
    let password = site.file("password", 0o600, Samba::PASSWORD);
    let trust = match more.contains("certificate_sha256") {
        true => String::new(),
        false => format!("ca_file = \"{}\"\n", samba.authority().display()),
    };
    let servers: Vec<_> = urls.iter().map(|url| format!("\"{url}\"")).collect();
    let text = format!(
        "[connectors.office]\ntype = \"active-directory\"\nservers = [{}]\n{trust}\
         bind_dn = \"{}\"\nbind_password_file = \"{}\"\ndomain = \"example.test\"\n{more}\n\
         [connectors.office.accounts]\nbase = \"{base}\"\n[connectors.office.groups]\nbase = \"{base}\"\n",
        servers.join(", "),
        Samba::ADMINISTRATOR,
        password.display()
    );
    let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
    let connectors = Connectors::from_config(&config.connectors).unwrap();
    connectors.find("office").unwrap().clone()
}

pub(crate) fn by_name(class: ObjectClass, name: &str) -> ObjectRef {
    ObjectRef {
        class,
        by: Selector::Name(ObjectName::new(name).unwrap()),
    }
}

pub(crate) fn by_id(class: ObjectClass, id: &ObjectId) -> ObjectRef {
    ObjectRef {
        class,
        by: Selector::Id(id.clone()),
    }
}

pub(crate) fn password(text: &str) -> Password {
    Password::new(text.as_bytes().to_vec()).unwrap()
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn attribute(name: &str, value: Value) -> Attribute {
    Attribute {
        name: AttributeName::new(name).unwrap(),
        values: vec![value],
    }
}

pub(crate) fn context() -> Context {
    context_of("direct")
}

pub(crate) fn context_of(call: &str) -> Context {
    Context {
        call: CallId::new(call).unwrap(),
        settings: Default::default(),
        secret_settings: Default::default(),
        deadline: Instant::now() + Duration::from_secs(60),
        trace: Default::default(),
    }
}

/// The failure, where nothing has changed.
#[track_caller]
pub(crate) fn failure(error: CallError) -> Failure {
    match error {
        CallError::Failed(failure) => failure,
        CallError::Indeterminate(why) => panic!("nobody knows: {why}"),
    }
}
