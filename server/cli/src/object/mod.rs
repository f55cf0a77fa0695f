//! `portcullis account …`, `group …` and `object …`: the objects of a resource.

mod create;
mod search;
mod update;

use clap::{Args, Subcommand};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{
    Authenticate, Delete, Disable, Enable, Get, ObjectClass, ObjectRef, Rename, SetPassword,
};

use crate::call::{CallArgs, Caller, TargetArgs};
use crate::class::Class;
use crate::context::Context;
use crate::error::CliError;
use crate::import::ImportArgs;
use crate::input::filter;
use crate::input::prompt::PasswordSource;
use create::{CreateAccountArgs, CreateGroupArgs};
pub(crate) use search::each;
use search::{ListArgs, SearchArgs};
use update::UpdateArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Create an account
    Create(CreateAccountArgs),
    /// Show one account
    Get(GetArgs),
    /// Change an account's attributes
    Update(UpdateArgs),
    /// Delete an account
    Delete(NamedArgs),
    /// Let an account log in again
    Enable(NamedArgs),
    /// Keep an account from logging in
    Disable(NamedArgs),
    /// Give an account a new password
    SetPassword {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        password: PasswordSource,
        /// The password of this user, which nobody has to know
        #[arg(long, value_name = "USER", conflicts_with = "PasswordSource")]
        from_user: Option<String>,
        #[command(flatten)]
        call: CallArgs,
    },
    /// Give an account another name; its id stays
    Rename(RenameArgs),
    /// Try whether a password is that of an account
    Authenticate {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        call: CallArgs,
    },
    /// List all accounts
    List(ListArgs),
    /// List the accounts that meet a condition
    Search(SearchArgs),
    /// Create the accounts of a CSV or JSON Lines file
    Import(ImportArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Create a group
    Create(CreateGroupArgs),
    /// Show one group
    Get(GetArgs),
    /// Change a group's attributes, such as its members
    Update(UpdateArgs),
    /// Delete a group
    Delete(NamedArgs),
    /// Give a group another name; its id stays
    Rename(RenameArgs),
    /// List all groups
    List(ListArgs),
}

/// Objects of any class that the resource's schema has.
#[derive(Debug, Subcommand)]
pub(crate) enum ObjectCommand {
    /// Show one object
    Get {
        #[command(flatten)]
        class: ClassArgs,
        #[command(flatten)]
        get: GetArgs,
    },
    /// List all objects of a class
    List {
        #[command(flatten)]
        class: ClassArgs,
        #[command(flatten)]
        list: ListArgs,
    },
    /// List the objects of a class that meet a condition
    #[command(after_help = filter::HELP)]
    Search {
        #[command(flatten)]
        class: ClassArgs,
        #[command(flatten)]
        search: SearchArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ClassArgs {
    /// A class of `portcullis resource schema`, such as organizational-unit
    #[arg(long, value_name = "CLASS")]
    class: String,
}

impl ObjectCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Get { class, get } => get.run(context, Class::named(&class.class)).await,
            Self::List { class, list } => list.run(context, Class::named(&class.class)).await,
            Self::Search { class, search } => search.run(context, Class::named(&class.class)).await,
        }
    }
}

/// What a verb takes that only names an object.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    call: CallArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    to: String,
    #[command(flatten)]
    call: CallArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Show this attribute; repeat it for several. All that the schema returns by default where
    /// none is given
    #[arg(long = "attribute", value_name = "NAME")]
    attributes: Vec<String>,
    #[command(flatten)]
    call: CallArgs,
}

impl AccountCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        const CLASS: ObjectClass = ObjectClass::Account;
        match self {
            Self::Create(args) => args.run(context).await,
            Self::Get(args) => args.run(context, CLASS).await,
            Self::Update(args) => args.run(context, CLASS).await,
            Self::Delete(args) => args.run(context, CLASS, delete, "is deleted").await,
            Self::Enable(args) => args.run(context, CLASS, enable, "is enabled").await,
            Self::Disable(args) => args.run(context, CLASS, disable, "is disabled").await,
            Self::SetPassword {
                target,
                password,
                from_user,
                call,
            } => set_password(context, target, &password, from_user, &call).await,
            Self::Rename(args) => args.run(context, CLASS).await,
            Self::Authenticate {
                target,
                password,
                call,
            } => {
                let sentence = format!("the password is that of {}", target.phrase(CLASS));
                let object = Some(target.reference(CLASS));
                let caller = Caller::new(context, target.resource).await?;
                let password = Some(password.known_password()?);
                let verb = Verb::Authenticate(Authenticate { object, password });
                caller.tell(context, verb, &call, &sentence).await
            }
            Self::List(args) => args.run(context, CLASS).await,
            Self::Search(args) => args.run(context, CLASS).await,
            Self::Import(args) => args.run(context).await,
        }
    }
}

impl GroupCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        const CLASS: ObjectClass = ObjectClass::Group;
        match self {
            Self::Create(args) => args.run(context).await,
            Self::Get(args) => args.run(context, CLASS).await,
            Self::Update(args) => args.run(context, CLASS).await,
            Self::Delete(args) => args.run(context, CLASS, delete, "is deleted").await,
            Self::Rename(args) => args.run(context, CLASS).await,
            Self::List(args) => args.run(context, CLASS).await,
        }
    }
}

impl RenameArgs {
    async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        let Self { target, to, call } = self;
        let sentence = format!("{} is now {to}", target.phrase(class));
        let verb = Verb::Rename(Rename {
            object: Some(target.reference(class)),
            new_name: to,
        });
        let caller = Caller::new(context, target.resource).await?;
        caller.tell(context, verb, &call, &sentence).await
    }
}

impl NamedArgs {
    /// Has `verb` done to the object, and says what it then is.
    async fn run(
        self,
        context: &Context,
        class: ObjectClass,
        verb: fn(Option<ObjectRef>) -> Verb,
        done: &str,
    ) -> Result<(), CliError> {
        let verb = verb(Some(self.target.reference(class)));
        let sentence = format!("{} {done}", self.target.phrase(class));
        let caller = Caller::new(context, self.target.resource).await?;
        caller.tell(context, verb, &self.call, &sentence).await
    }
}

fn delete(object: Option<ObjectRef>) -> Verb {
    Verb::Delete(Delete { object })
}

fn enable(object: Option<ObjectRef>) -> Verb {
    Verb::Enable(Enable { object })
}

fn disable(object: Option<ObjectRef>) -> Verb {
    Verb::Disable(Disable { object })
}

impl GetArgs {
    async fn run(self, context: &Context, class: impl Into<Class>) -> Result<(), CliError> {
        let verb = Verb::Get(Get {
            object: Some(self.target.reference(class)),
            attribute_names: self.attributes,
        });
        let caller = Caller::new(context, self.target.resource).await?;
        caller.tell(context, verb, &self.call, "found").await
    }
}

async fn set_password(
    context: &Context,
    target: TargetArgs,
    password: &PasswordSource,
    from_user: Option<String>,
    call: &CallArgs,
) -> Result<(), CliError> {
    let class = ObjectClass::Account;
    let sentence = format!("{} has a new password", target.phrase(class));
    let object = Some(target.reference(class));
    // Connected before the prompt: nobody types a password for a server that is not there.
    let mut caller = Caller::new(context, target.resource).await?;
    let password = match from_user {
        Some(user) => {
            caller = caller.with_password_of(user);
            None
        }
        None => Some(password.new_password()?),
    };
    let verb = Verb::SetPassword(SetPassword { object, password });
    caller.tell(context, verb, call, &sentence).await
}
