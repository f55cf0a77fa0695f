//! What can come between the gateway and a directory, and how far a request had got by then.

use super::message::Answer;

/// Why a directory cannot be reached or understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) kind: FaultKind,
    /// The same in words, with what to do.
    pub(crate) text: String,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The host's name has no address.
    Name,
    /// Nobody listens there.
    Refused,
    /// It does not answer in time.
    Silent,
    /// Its certificate is not the right one.
    Certificate,
    /// It cannot agree on TLS in another way.
    Tls,
    /// It does not let the gateway in.
    Bind,
    /// The connection ended.
    Closed,
    /// What it sends is no LDAP, or more than is allowed.
    Garbled,
    /// Every connection is taken.
    Full,
    /// What it says goes round and round.
    Repeats,
}

impl Fault {
    /// A fault in words.
    pub(crate) fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }
}

/// What came of a request where that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The directory said no: nothing has changed.
    Refused(Box<Answer>),
    /// No byte of it left: nothing has changed.
    NotBegun(Fault),
    /// Some of it left, and no answer came that can be read: nobody knows.
    Unknown(Fault),
}

impl Error {
    /// The answer of a directory that said no.
    pub(crate) fn refused(answer: Answer) -> Self {
        Self::Refused(Box::new(answer))
    }

    /// The result code where the directory said no.
    pub(crate) fn code(&self) -> Option<u32> {
        match self {
            Self::Refused(answer) => Some(answer.code),
            _ => None,
        }
    }
}

/// The result codes that something is decided by (RFC 4511, appendix A.1; RFC 3909; RFC 4528).
pub(crate) mod code {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const OPERATIONS_ERROR: u32 = 1;
    pub(crate) const PROTOCOL_ERROR: u32 = 2;
    pub(crate) const TIME_LIMIT_EXCEEDED: u32 = 3;
    pub(crate) const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub(crate) const STRONGER_AUTH_REQUIRED: u32 = 8;
    pub(crate) const REFERRAL: u32 = 10;
    pub(crate) const ADMIN_LIMIT_EXCEEDED: u32 = 11;
    pub(crate) const UNAVAILABLE_CRITICAL_EXTENSION: u32 = 12;
    pub(crate) const CONFIDENTIALITY_REQUIRED: u32 = 13;
    pub(crate) const NO_SUCH_ATTRIBUTE: u32 = 16;
    pub(crate) const UNDEFINED_ATTRIBUTE_TYPE: u32 = 17;
    pub(crate) const INAPPROPRIATE_MATCHING: u32 = 18;
    pub(crate) const CONSTRAINT_VIOLATION: u32 = 19;
    pub(crate) const ATTRIBUTE_OR_VALUE_EXISTS: u32 = 20;
    pub(crate) const INVALID_ATTRIBUTE_SYNTAX: u32 = 21;
    pub(crate) const NO_SUCH_OBJECT: u32 = 32;
    pub(crate) const INVALID_DN_SYNTAX: u32 = 34;
    pub(crate) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    pub(crate) const INVALID_CREDENTIALS: u32 = 49;
    pub(crate) const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
    pub(crate) const BUSY: u32 = 51;
    pub(crate) const UNAVAILABLE: u32 = 52;
    pub(crate) const UNWILLING_TO_PERFORM: u32 = 53;
    pub(crate) const NAMING_VIOLATION: u32 = 64;
    pub(crate) const OBJECT_CLASS_VIOLATION: u32 = 65;
    pub(crate) const NOT_ALLOWED_ON_NON_LEAF: u32 = 66;
    pub(crate) const NOT_ALLOWED_ON_RDN: u32 = 67;
    pub(crate) const ENTRY_ALREADY_EXISTS: u32 = 68;
    pub(crate) const OBJECT_CLASS_MODS_PROHIBITED: u32 = 69;
    pub(crate) const ASSERTION_FAILED: u32 = 122;
    pub(crate) const SYNC_REFRESH_REQUIRED: u32 = 4096;
}

/// The standard's name of a result code.
pub(crate) fn code_name(code: u32) -> &'static str {
    match code {
        0 => "success",
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        33 => "aliasProblem",
        34 => "invalidDNSyntax",
        36 => "aliasDereferencingProblem",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        54 => "loopDetect",
        64 => "namingViolation",
        65 => "objectClassViolation",
        66 => "notAllowedOnNonLeaf",
        67 => "notAllowedOnRDN",
        68 => "entryAlreadyExists",
        69 => "objectClassModsProhibited",
        71 => "affectsMultipleDSAs",
        80 => "other",
        118 => "canceled",
        119 => "noSuchOperation",
        120 => "tooLate",
        121 => "cannotCancel",
        122 => "assertionFailed",
        123 => "authorizationDenied",
        4096 => "e-syncRefreshRequired",
        _ => "a code that no standard has",
    }
}
