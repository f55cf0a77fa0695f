//! Against a server that lies, made of another implementation of LDAP.

mod hostile;
mod server;
