//! The heads of HTTP/2 frames (RFC 9113 section 4.1) within bytes that come in any pieces.

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
/// Browsers send some (RFC 9218).
pub(super) const PRIORITY_UPDATE: u8 = 16;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) const PADDED: u8 = 8;
pub(super) const WITH_PRIORITY: u8 = 32;

pub(super) const NO_ERROR: u32 = 0;
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
/// Sent to a client that costs too much.
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// A place within the frames of one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    head: [u8; 9],
    have: u8,
    /// Bytes left of the frame.
    left: u32,
    /// The first bytes of its payload, six at a time.
    part: [u8; 6],
    part_have: u8,
}

/// The head of a frame.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

/// What was found on the way.
pub(super) enum Event {
    /// The head of a frame.
    Head(Frame),
    /// Six bytes of a payload, or the last ones of one.
    Part(Frame, [u8; 6], u8),
}

impl Place {
    pub(super) fn new(left: u32) -> Self {
        Self {
            head: [0; 9],
            have: 0,
            left,
            part: [0; 6],
            part_have: 0,
        }
    }

    /// Whether the next byte begins a frame.
    pub(super) fn is_boundary(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    fn frame(&self) -> Frame {
        let [high, middle, low, kind, flags, stream @ ..] = self.head;
        Frame {
            length: u32::from_be_bytes([0, high, middle, low]),
            kind,
            flags,
            // The first bit means nothing.
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    /// Takes the next bytes up to the next event: how many, and what it is.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Option<Event>) {
        if self.left > 0 {
            let frame = self.frame();
            let looked_at = matches!(frame.kind, RST_STREAM | SETTINGS | WINDOW_UPDATE) && self.have == 9;
            if !looked_at {
                let taken = (self.left as usize).min(bytes.len());
                self.left -= taken as u32;
                self.end();
                return (taken, None);
            }
            let room = 6 - usize::from(self.part_have);
            let taken = (self.left as usize).min(bytes.len()).min(room);
            let at = usize::from(self.part_have);
            self.part[at..at + taken].copy_from_slice(&bytes[..taken]);
            self.part_have += taken as u8;
            self.left -= taken as u32;
            if self.part_have < 6 && self.left > 0 {
                return (taken, None);
            }
            let have = std::mem::take(&mut self.part_have);
            self.end();
            return (taken, Some(Event::Part(frame, self.part, have)));
        }
        let at = usize::from(self.have);
        let taken = (9 - at).min(bytes.len());
        self.head[at..at + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken as u8;
        if self.have < 9 {
            return (taken, None);
        }
        let frame = self.frame();
        self.left = frame.length;
        self.end();
        (taken, Some(Event::Head(frame)))
    }

    fn end(&mut self) {
        if self.left == 0 {
            self.have = 0;
        }
    }
}

/// A frame that takes a request back.
pub(super) fn reset(stream: u32) -> Vec<u8> {
    let mut out = vec![0, 0, 4, RST_STREAM, 0];
    out.extend(stream.to_be_bytes());
    out.extend(CANCEL.to_be_bytes());
    out
}

/// A frame that ends the connection. The last request it names is the newest: whether it was worked on is not known.
pub(super) fn goodbye(newest: u32, why: u32) -> Vec<u8> {
    let mut out = vec![0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
    out.extend(newest.to_be_bytes());
    out.extend(why.to_be_bytes());
    out
}
