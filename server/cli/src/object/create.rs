//! `portcullis account create` and `portcullis group create`: a new object, with its attributes.

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Attribute, Create, ObjectClass};

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::input::assignment::{Assignment, SecretFile};
use crate::input::prompt::PasswordSource;
use crate::input::typing::secret_attributes;

#[derive(Debug, Args)]
struct ObjectArgs {
    /// The resource
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
        let mut caller = Caller::new(context, self.object.resource.clone()).await?;
        let class = ObjectClass::Account;
        let attributes = self.object.attributes(&mut caller, class).await?;
        let with_password = self.ask_password || self.password.given();
        let password = with_password
            .then(|| self.password.new_password())
            .transpose()?;
        if let Some(user) = self.password_from_user {
            caller = caller.with_password_of(user);
        }
        let create = Create {
            object_class: class.into(),
            name: self.object.name.clone(),
            attributes,
            password,
            enabled: self.disabled.then_some(false),
        };
        self.object.create(context, caller, create).await
    }
}

impl CreateGroupArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut caller = Caller::new(context, self.object.resource.clone()).await?;
        let class = ObjectClass::Group;
        let attributes = self.object.attributes(&mut caller, class).await?;
        let create = Create {
            object_class: class.into(),
            name: self.object.name.clone(),
            attributes,
            ..Create::default()
        };
        self.object.create(context, caller, create).await
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

    async fn create(
        self,
        context: &Context,
        caller: Caller,
        create: Create,
    ) -> Result<(), CliError> {
        let sentence = format!("{} is created", self.name);
        let verb = Verb::Create(create);
        caller.tell(context, verb, &self.call, &sentence).await
    }
}
