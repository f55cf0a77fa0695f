//! `portcullis account …`, `group …` and `object …`: the objects of a resource.

mod create;
mod search;
mod update;

use std::cell::OnceCell;

use clap::{Args, Subcommand};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{
    Authenticate, Delete, Disable, Enable, Get, ObjectClass, Rename, SetPassword,
};

use crate::bulk::InFlight;
use crate::call::{CallArgs, Caller, TargetArgs};
use crate::class::Class;
use crate::context::Context;
use crate::error::CliError;
use crate::fan_out::Change;
use crate::import::ImportArgs;
use crate::input::filter;
use crate::input::prompt::PasswordSource;
use crate::targets::{Objects, TargetsArgs};
use create::{CreateAccountArgs, CreateGroupArgs};
use search::{ListArgs, SearchArgs};
pub(crate) use search::{Step, each, each_step};
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

/// What a verb takes that only names an object, or many.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    #[command(flatten)]
    target: TargetsArgs,
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
            Self::Delete(args) => args.run(context, CLASS, delete(), "is deleted").await,
            Self::Enable(args) => args.run(context, CLASS, enable(), "is enabled").await,
            Self::Disable(args) => args.run(context, CLASS, disable(), "is disabled").await,
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
                let verb = Verb::Authenticate(Authenticate {
                    object,
                    password,
                    tells_unknown: false,
                });
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
            Self::Delete(args) => args.run(context, CLASS, delete(), "is deleted").await,
            Self::Rename(args) => args.run(context, CLASS).await,
            Self::List(args) => args.run(context, CLASS).await,
        }
    }
}

impl RenameArgs {
    async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        let Self { target, to, call } = self;
        let change = Change {
            objects: Objects::one(&target, class),
            resource: target.resource,
            password_of: None,
            args: &call,
            in_flight: InFlight::default(),
            done: &format!("is now {to}"),
        };
        let verb = Verb::Rename(Rename {
            object: None,
            new_name: to.clone(),
        });
        change.tell(context, async |_| Ok(verb.clone())).await
    }
}

impl NamedArgs {
    /// Has `verb` done to the objects, and says what they then are.
    async fn run(
        self,
        context: &Context,
        class: ObjectClass,
        verb: Verb,
        done: &str,
    ) -> Result<(), CliError> {
        let change = Change {
            objects: self.target.objects(class)?,
            resource: self.target.resource,
            password_of: None,
            args: &self.call,
            in_flight: self.target.in_flight,
            done,
        };
        change.tell(context, async |_| Ok(verb.clone())).await
    }
}

fn delete() -> Verb {
    Verb::Delete(Delete { object: None })
}

fn enable() -> Verb {
    Verb::Enable(Enable { object: None })
}

fn disable() -> Verb {
    Verb::Disable(Disable { object: None })
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
    user: Option<String>,
    call: &CallArgs,
) -> Result<(), CliError> {
    let from_user = user.is_some();
    let change = Change {
        objects: Objects::one(&target, ObjectClass::Account),
        resource: target.resource,
        password_of: user,
        args: call,
        in_flight: InFlight::default(),
        done: "has a new password",
    };
    // Asked for once connected, and once for all resources: nobody types a password for a server
    // that is not there.
    let asked = OnceCell::new();
    let verb = async |_: &mut Caller| {
        let password = match from_user {
            true => None,
            false => Some(once(&asked, || password.new_password())?),
        };
        Ok(Verb::SetPassword(SetPassword {
            object: None,
            password,
        }))
    };
    change.tell(context, verb).await
}

/// What `ask` answers, which is asked once.
fn once<T: Clone>(
    asked: &OnceCell<T>,
    ask: impl FnOnce() -> Result<T, CliError>,
) -> Result<T, CliError> {
    if let Some(known) = asked.get() {
        return Ok(known.clone());
    }
    let answer = ask()?;
    Ok(asked.get_or_init(|| answer).clone())
}
