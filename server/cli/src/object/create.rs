//! `portcullis account create` and `portcullis group create`: a new object, with its attributes.

use std::cell::OnceCell;

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Attribute, Create, ObjectClass};

use crate::bulk::InFlight;
use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::fan_out::Change;
use crate::input::assignment::{Assignment, SecretFile};
use crate::input::prompt::PasswordSource;
use crate::input::typing::secret_attributes;
use crate::object::once;
use crate::targets::Objects;

#[derive(Debug, Args)]
struct ObjectArgs {
    /// The resource, or @GROUP: each resource of the group
    resource: String,
    /// The new object's name
    name: String,
    /// An attribute's value; repeat it for several values. The resource's schema gives the type
    /// unless one is written
    #[arg(long, value_name = "NAME[:TYPE]=VALUE")]
    set: Vec<Assignment>,
    /// A secret attribute, read from a file
    #[arg(long, value_name = "NAME=FILE")]
    secret_file: Vec<SecretFile>,
    #[command(flatten)]
    call: CallArgs,
}

const EXAMPLES: &str = "\
Examples:
  portcullis account create host1-accounts ada --set full_name='Ada Lovelace' --ask-password
  portcullis account create host1-accounts ada --set groups=wheel --set groups=adm --password-file pw
  portcullis account create host1-accounts ada --password-from-user ada --call-id join-4711";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CreateAccountArgs {
    #[command(flatten)]
    object: ObjectArgs,
    /// Ask for its first password at the terminal; without any password it cannot log in by one
    #[arg(long, conflicts_with = "PasswordSource")]
    ask_password: bool,
    #[command(flatten)]
    password: PasswordSource,
    /// Its first password is that of this user, which nobody has to know
    #[arg(long, value_name = "USER", conflicts_with_all = ["PasswordSource", "ask_password"])]
    password_from_user: Option<String>,
    /// Create it disabled
    #[arg(long)]
    disabled: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CreateGroupArgs {
    #[command(flatten)]
    object: ObjectArgs,
}

impl CreateAccountArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let class = ObjectClass::Account;
        let with_password = self.ask_password || self.password.given();
        let asked = OnceCell::new();
        let verb = async |caller: &mut Caller| {
            let attributes = self.object.attributes(caller, class).await?;
            let ask = || once(&asked, || self.password.new_password());
            let password = with_password.then(ask).transpose()?;
            Ok(Verb::Create(Create {
                object_class: class.into(),
                name: self.object.name.clone(),
                attributes,
                password,
                enabled: self.disabled.then_some(false),
            }))
        };
        let change = self.object.change(self.password_from_user.clone());
        change.tell(context, verb).await
    }
}

impl CreateGroupArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let class = ObjectClass::Group;
        let verb = async |caller: &mut Caller| {
            let attributes = self.object.attributes(caller, class).await?;
            Ok(Verb::Create(Create {
                object_class: class.into(),
                name: self.object.name.clone(),
                attributes,
                ..Create::default()
            }))
        };
        self.object.change(None).tell(context, verb).await
    }
}

impl ObjectArgs {
    async fn attributes(
        &self,
        caller: &mut Caller,
        class: ObjectClass,
    ) -> Result<Vec<Attribute>, CliError> {
        let typing = caller.typing_for(class, &self.set, &self.call).await?;
        let mut attributes = typing.attributes(&self.set)?;
        attributes.extend(secret_attributes(&self.secret_file)?);
        Ok(attributes)
    }

    fn change(&self, password_of: Option<String>) -> Change<'_> {
        Change {
            resource: self.resource.clone(),
            objects: Objects::new(&self.name),
            password_of,
            args: &self.call,
            in_flight: InFlight::default(),
            done: "is created",
        }
    }
}
