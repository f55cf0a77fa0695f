//! The connector on real databases.
