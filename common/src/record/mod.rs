//! Records: seal, open, epochs.
