//! What an editor of the file cannot do.
