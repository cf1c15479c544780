//! Follows the frames of one direction of a WebSocket (RFC 6455 section 5). Pure: bytes in, a verdict out; how the bytes are
//! split over calls changes nothing. What is inside the frames is for the two ends.

/// The longest head of a frame.
#[cfg(test)]
const HEAD_BYTES_MAX: usize = 14;

/// Who sends in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Its frames are masked.
    Client,
    /// Its frames are not.
    Service,
}

/// Which of the reserved bits the two ends have agreed on a meaning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    /// None.
    None,
    /// RSV1 at the beginning of a message: it is compressed (RFC 7692).
    Compressed,
    /// An extension that is not known here: any.
    Any,
}

/// Why a direction ends: what a close frame says (RFC 6455 section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// 1002.
    Protocol(&'static str),
    /// 1009.
    TooBig,
}

/// What becomes of bytes that were looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// This many of them are passed on. The rest is the beginning of a head, 13 bytes at most: show it again together with what
    /// follows; or it is ignored, where nothing is passed any more.
    pub(super) pass: usize,
    /// What is wrong with the rest.
    pub(super) violation: Option<Violation>,
}

/// Follows one direction.
#[derive(Debug)]
pub(super) struct Frames {
    sender: Sender,
    reserved: Reserved,
    message_bytes_max: u64,
    /// Bytes left of the payload under way.
    left: u64,
    /// Bytes of the message under way; `None` between messages.
    message: Option<u64>,
    /// Nothing is passed behind the frame under way: it is the last one, or a close frame, behind which whatever comes is
    /// ignored (RFC 6455 section 5.5.1).
    ends: bool,
}

/// A head that is in order.
struct Head {
    bytes: usize,
    payload: u64,
    fin: bool,
    opcode: u8,
}

const CONTINUATION: u8 = 0x0;
const CLOSE: u8 = 0x8;

impl Frames {
    pub(super) fn new(sender: Sender, reserved: Reserved, message_bytes_max: u64) -> Self {
        Self {
            sender,
            reserved,
            message_bytes_max,
            left: 0,
            message: None,
            ends: false,
        }
    }

    /// Whether what was passed ends with a whole frame: another one may be put behind it.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.left == 0
    }

    /// Passes nothing behind the frame under way.
    pub(super) fn end(&mut self) {
        self.ends = true;
    }

    /// Whether nothing is passed behind the frame under way.
    pub(super) fn ends(&self) -> bool {
        self.ends
    }

    /// Looks at the next bytes of the direction.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Verdict {
        let mut pass = 0;
        loop {
            let rest = &bytes[pass..];
            if self.left > 0 {
                let taken = self.left.min(rest.len() as u64);
                self.left -= taken;
                pass += taken as usize;
            }
            let rest = &bytes[pass..];
            if rest.is_empty() || self.left > 0 || self.ends {
                return Verdict {
                    pass,
                    violation: None,
                };
            }
            match self.head(rest) {
                Ok(None) => {
                    return Verdict {
                        pass,
                        violation: None,
                    };
                }
                Ok(Some(head)) => {
                    pass += head.bytes;
                    self.left = head.payload;
                    self.took(&head);
                }
                Err(violation) => {
                    return Verdict {
                        pass,
                        violation: Some(violation),
                    };
                }
            }
        }
    }

    fn took(&mut self, head: &Head) {
        if head.opcode >= CLOSE {
            self.ends |= head.opcode == CLOSE;
            return;
        }
        let message = self.message.unwrap_or(0) + head.payload;
        self.message = (!head.fin).then_some(message);
    }

    /// The head at the beginning of `bytes`; `None` when it is not whole yet and fine so far.
    fn head(&self, bytes: &[u8]) -> Result<Option<Head>, Violation> {
        let wrong = |what| Err(Violation::Protocol(what));
        let (fin, reserved, opcode) = (bytes[0] & 0x80 != 0, bytes[0] & 0x70, bytes[0] & 0x0f);
        let compressed = reserved == 0x40 && matches!(opcode, 1 | 2);
        match self.reserved {
            Reserved::Any => {}
            Reserved::Compressed if reserved == 0 || compressed => {}
            Reserved::None if reserved == 0 => {}
            Reserved::None | Reserved::Compressed => return wrong("a reserved bit is set"),
        }
        match (opcode, self.message) {
            (CONTINUATION, None) => return wrong("a continuation continues nothing"),
            (1 | 2, Some(_)) => return wrong("a message begins inside another one"),
            (3..=7 | 0xb.., _) => return wrong("the opcode is reserved"),
            _ => {}
        }
        let control = opcode >= CLOSE;
        if control && !fin {
            return wrong("a control frame is in parts");
        }
        let Some(second) = bytes.get(1) else {
            return Ok(None);
        };
        let masked = second & 0x80 != 0;
        match self.sender {
            Sender::Client if !masked => return wrong("a frame of the client is not masked"),
            Sender::Service if masked => return wrong("a frame of the service is masked"),
            Sender::Client | Sender::Service => {}
        }
        let short = second & 0x7f;
        if control && short > 125 {
            return wrong("a control frame is longer than 125 bytes");
        }
        if opcode == CLOSE && short == 1 {
            return wrong("a close frame has half a code");
        }
        let (extended, least) = match short {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let Some(digits) = bytes.get(2..2 + extended) else {
            return Ok(None);
        };
        let payload = match extended {
            0 => u64::from(short),
            _ => digits.iter().fold(0, |n, b| n << 8 | u64::from(*b)),
        };
        if payload < least {
            return wrong("a length is longer than it needs to be");
        }
        if payload >> 63 != 0 {
            return wrong("the highest bit of a length is set");
        }
        if !control && self.message.unwrap_or(0).saturating_add(payload) > self.message_bytes_max {
            return Err(Violation::TooBig);
        }
        let head = 2 + extended + if masked { 4 } else { 0 };
        if bytes.len() < head {
            return Ok(None);
        }
        Ok(Some(Head {
            bytes: head,
            payload,
            fin,
            opcode,
        }))
    }
}

#[cfg(test)]
mod tests;
