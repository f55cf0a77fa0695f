//! Frames as messages of `gateway.proto`.

use std::num::NonZeroU64;

use bytes::Bytes;
use portcullis_proto::gateway::v1::{CallFrame, CallFrameKind, Failure};

use super::frame::{Begin, Frame, Kind, Refusal, Violation};

impl From<Frame> for CallFrame {
    fn from(frame: Frame) -> Self {
        let mut not_after = None;
        let (kind, length, data, failure) = match frame.kind {
            Kind::Open(Begin { len, data }, moment) => {
                not_after = moment;
                (CallFrameKind::Open, len, data, None)
            }
            Kind::Item(Begin { len, data }) => (CallFrameKind::Item, len, data, None),
            Kind::End(Begin { len, data }) => (CallFrameKind::End, len, data, None),
            Kind::Part(data) => (CallFrameKind::Part, 0, data, None),
            Kind::Credit(bytes) => (CallFrameKind::Credit, bytes, Bytes::new(), None),
            Kind::Cancel => (CallFrameKind::Cancel, 0, Bytes::new(), None),
            Kind::Cancelled => (CallFrameKind::Cancelled, 0, Bytes::new(), None),
            Kind::Refused(refusal) => {
                let Refusal { kind, message } = *refusal;
                let failure = Failure {
                    kind,
                    message,
                    native: None,
                };
                (CallFrameKind::Refused, 0, Bytes::new(), Some(failure))
            }
            Kind::Drain => (CallFrameKind::Drain, 0, Bytes::new(), None),
        };
        Self {
            call: frame.call,
            kind: kind.into(),
            length,
            data,
            failure,
            not_after_ms: not_after.map_or(0, NonZeroU64::get),
        }
    }
}

impl TryFrom<CallFrame> for Frame {
    type Error = Violation;

    fn try_from(frame: CallFrame) -> Result<Self, Violation> {
        let kind = CallFrameKind::try_from(frame.kind).map_err(|_| Violation::UnknownKind)?;
        let begin = |len, data| Begin { len, data };
        let kind = match kind {
            CallFrameKind::Unspecified => return Err(Violation::UnknownKind),
            CallFrameKind::Open => {
                let not_after = NonZeroU64::new(frame.not_after_ms);
                Kind::Open(begin(frame.length, frame.data), not_after)
            }
            CallFrameKind::Item => Kind::Item(begin(frame.length, frame.data)),
            CallFrameKind::End => Kind::End(begin(frame.length, frame.data)),
            CallFrameKind::Part => Kind::Part(frame.data),
            CallFrameKind::Credit => Kind::Credit(frame.length),
            CallFrameKind::Cancel => Kind::Cancel,
            CallFrameKind::Cancelled => Kind::Cancelled,
            CallFrameKind::Refused => {
                let Failure { kind, message, .. } = frame.failure.unwrap_or_default();
                Kind::Refused(Box::new(Refusal { kind, message }))
            }
            CallFrameKind::Drain => Kind::Drain,
        };
        Ok(Self {
            call: frame.call,
            kind,
        })
    }
}
