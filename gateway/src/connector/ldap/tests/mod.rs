//! Against a server made of another implementation of LDAP, which lies.
