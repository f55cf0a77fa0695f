//! One file a target.

pub(crate) mod call_frames;
pub(crate) mod directory_message;
pub(crate) mod frame_header;
pub(crate) mod gateway_record;
pub(crate) mod handshake;
pub(crate) mod ids;
pub(crate) mod listing;
pub(crate) mod message0;
pub(crate) mod message1;
pub(crate) mod message2;
pub(crate) mod message3;
pub(crate) mod message4;
pub(crate) mod order;
pub(crate) mod peers;
pub(crate) mod proxy_answer;
pub(crate) mod record_opener;
pub(crate) mod token;
