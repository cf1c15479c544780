//! Follows the boundaries of the messages on a connection and stops at the first that is not in order.
//! Pure: bytes in, a verdict out; how the bytes are split over calls changes nothing.

use super::head::{self, Bounds, Framing, Refusal, Side};

/// Interim replies (1xx) to one request; more than any service has a use for.
const INTERIM_MAX: u8 = 32;

/// Follows one direction of one connection.
#[derive(Debug)]
pub(crate) struct Framer {
    side: Side,
    bounds: Bounds,
    at: At,
    blank_lines: u8,
    /// Interim replies since the last final one.
    interim: u8,
    /// The reply that is expected has no body whatever its head says (HEAD).
    pub(crate) bodiless: bool,
    /// Heads that were passed on; of replies only the final ones.
    pub(crate) heads: u64,
    /// Replies that were asked for: more than those are refused.
    pub(crate) asked: u64,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    Length(u64),
    Chunk(Chunk),
    UntilClose,
    /// Behind a head that asks for another protocol.
    Decision,
    Tunnel,
    /// Behind something that was refused.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size { size: u64, digits: u8 },
    Extension { size: u64, bytes: u16 },
    SizeLineFeed { size: u64 },
    Data { left: u64 },
    DataReturn,
    DataLineFeed,
    TrailerStart { bytes: u32 },
    TrailerName { bytes: u32 },
    TrailerValue { bytes: u32 },
    TrailerLineFeed { bytes: u32 },
    EndLineFeed,
}

/// What becomes of bytes that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// This many of them are passed on.
    pub(crate) pass: usize,
    /// What about the rest.
    pub(crate) then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// There is no rest.
    More,
    /// The rest is the beginning of a head, or comes behind a request to change the protocol: show it again
    /// together with what follows.
    Hold,
    /// The rest begins with a head of this many bytes that is in order once it was through `head::escaped`. What
    /// comes behind it is still to be shown.
    Escape(usize),
    /// The rest is refused: a head.
    Refuse(Refusal),
    /// The rest is refused: inside a body.
    Break(&'static str),
}

impl Framer {
    pub(crate) fn new(side: Side, bounds: Bounds) -> Self {
        Self {
            side,
            bounds,
            at: At::Head,
            blank_lines: 0,
            interim: 0,
            bodiless: false,
            heads: 0,
            asked: u64::MAX,
        }
    }

    /// Whether the next byte is the first of a head.
    pub(crate) fn at_head(&self) -> bool {
        self.at == At::Head
    }

    /// Whether a decision on another protocol is awaited.
    pub(crate) fn awaits_decision(&self) -> bool {
        self.at == At::Decision
    }

    /// Whether the connection speaks another protocol, in which nothing is looked at.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.at == At::Tunnel
    }

    /// Whether something was refused.
    pub(crate) fn is_stopped(&self) -> bool {
        self.at == At::Stopped
    }

    /// The other protocol was agreed on, or not.
    pub(crate) fn decide(&mut self, tunnel: bool) {
        if self.at == At::Decision {
            self.at = if tunnel { At::Tunnel } else { At::Head };
        }
    }

    /// Passes nothing on any more.
    pub(crate) fn stop(&mut self) {
        self.at = At::Stopped;
    }

    /// Looks at the next bytes of the connection.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Verdict {
        let mut pass = 0;
        while pass < bytes.len() {
            let rest = &bytes[pass..];
            match self.at {
                At::Tunnel | At::UntilClose => pass = bytes.len(),
                At::Stopped => {
                    return Verdict {
                        pass,
                        then: Then::Break("nothing is read any more"),
                    };
                }
                At::Decision => {
                    return Verdict {
                        pass,
                        then: Then::Hold,
                    };
                }
                At::Length(left) => {
                    let taken = left.min(rest.len() as u64);
                    self.at = if taken == left {
                        At::Head
                    } else {
                        At::Length(left - taken)
                    };
                    pass += taken as usize;
                }
                At::Chunk(state) => match chunked(state, rest, self.bounds.head_bytes_max) {
                    Ok((used, state)) => {
                        self.at = state.map_or(At::Head, At::Chunk);
                        pass += used;
                    }
                    Err((used, why)) => {
                        self.at = At::Stopped;
                        return Verdict {
                            pass: pass + used,
                            then: Then::Break(why),
                        };
                    }
                },
                At::Head => match self.head(rest) {
                    Ok(Some((used, false))) => pass += used,
                    Ok(Some((used, true))) => {
                        return Verdict {
                            pass,
                            then: Then::Escape(used),
                        };
                    }
                    Ok(None) => {
                        return Verdict {
                            pass,
                            then: Then::Hold,
                        };
                    }
                    Err(refusal) => {
                        self.at = At::Stopped;
                        return Verdict {
                            pass,
                            then: Then::Refuse(refusal),
                        };
                    }
                },
            }
        }
        Verdict {
            pass,
            then: Then::More,
        }
    }

    /// Bytes of the head (or the empty line before one, RFC 9112 section 2.2) at the start of `rest`, and whether
    /// it must be escaped.
    fn head(&mut self, rest: &[u8]) -> Result<Option<(usize, bool)>, Refusal> {
        const BLANK_LINES_MAX: u8 = 4;
        if rest[0] == b'\r' && self.side == Side::Request {
            return match rest.get(1) {
                None => Ok(None),
                Some(b'\n') if self.blank_lines < BLANK_LINES_MAX => {
                    self.blank_lines += 1;
                    Ok(Some((2, false)))
                }
                Some(_) => Err(Refusal::Malformed("there are stray line ends before the request")),
            };
        }
        if self.heads >= self.asked {
            return Err(Refusal::Malformed("there are bytes that no request asked for"));
        }
        let Some(head) = head::judge(rest, self.side, &self.bounds)? else {
            return Ok(None);
        };
        self.blank_lines = 0;
        let interim = self.side == Side::Reply && (100..200).contains(&head.status) && head.status != 101;
        self.interim = if interim { self.interim + 1 } else { 0 };
        if self.interim > INTERIM_MAX {
            return Err(Refusal::Malformed("there are interim replies without end"));
        }
        self.heads += u64::from(!interim);
        self.at = match head.framing {
            _ if self.side == Side::Reply && head.status == 101 => At::Tunnel,
            _ if interim => At::Head,
            _ if self.side == Side::Reply && (self.bodiless || matches!(head.status, 204 | 304)) => At::Head,
            Framing::Length(left) => At::Length(left),
            Framing::Chunked => At::Chunk(Chunk::Size { size: 0, digits: 0 }),
            Framing::UntilClose => At::UntilClose,
            Framing::Empty if head.upgrade && self.side == Side::Request => At::Decision,
            Framing::Empty => At::Head,
        };
        Ok(Some((head.bytes, head.escape)))
    }
}

/// Follows a chunked body (RFC 9112 section 7.1): how many bytes of it were in order, and where it stands;
/// `None` behind its end.
fn chunked(
    mut state: Chunk,
    bytes: &[u8],
    trailer_bytes_max: usize,
) -> Result<(usize, Option<Chunk>), (usize, &'static str)> {
    let mut at = 0;
    while at < bytes.len() {
        if let Chunk::Data { left } = state {
            let taken = left.min((bytes.len() - at) as u64);
            at += taken as usize;
            state = if taken == left {
                Chunk::DataReturn
            } else {
                Chunk::Data { left: left - taken }
            };
            continue;
        }
        state = match step(state, bytes[at], trailer_bytes_max) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok((at + 1, None)),
            Err(why) => return Err((at, why)),
        };
        at += 1;
    }
    Ok((at, Some(state)))
}

/// One byte of what stands between the data; `None` at the end of the body.
fn step(state: Chunk, byte: u8, trailer_bytes_max: usize) -> Result<Option<Chunk>, &'static str> {
    const DIGITS_MAX: u8 = 15;
    const EXTENSION_BYTES_MAX: u16 = 1024;
    Ok(Some(match state {
        Chunk::Size { size, digits } => match (byte, char::from(byte).to_digit(16)) {
            (_, Some(digit)) if digits < DIGITS_MAX => Chunk::Size {
                size: size * 16 + u64::from(digit),
                digits: digits + 1,
            },
            (b'\r', _) if digits > 0 => Chunk::SizeLineFeed { size },
            (b';', _) if digits > 0 => Chunk::Extension { size, bytes: 0 },
            _ => return Err("a chunk's size is not a hexadecimal number"),
        },
        Chunk::Extension { size, bytes } => match byte {
            b'\r' => Chunk::SizeLineFeed { size },
            _ if head::is_control(byte) || bytes >= EXTENSION_BYTES_MAX => {
                return Err("a chunk's extension is malformed or too long");
            }
            _ => Chunk::Extension {
                size,
                bytes: bytes + 1,
            },
        },
        Chunk::SizeLineFeed { size: 0 } if byte == b'\n' => Chunk::TrailerStart { bytes: 0 },
        Chunk::SizeLineFeed { size } if byte == b'\n' => Chunk::Data { left: size },
        Chunk::DataReturn if byte == b'\r' => Chunk::DataLineFeed,
        Chunk::DataLineFeed if byte == b'\n' => Chunk::Size { size: 0, digits: 0 },
        Chunk::EndLineFeed if byte == b'\n' => return Ok(None),
        Chunk::SizeLineFeed { .. } | Chunk::DataReturn | Chunk::DataLineFeed | Chunk::EndLineFeed => {
            return Err("a chunk does not end in CR LF");
        }
        Chunk::TrailerStart { bytes } | Chunk::TrailerName { bytes } | Chunk::TrailerValue { bytes }
            if bytes as usize >= trailer_bytes_max =>
        {
            return Err("the trailer is too long");
        }
        Chunk::TrailerStart { .. } if byte == b'\r' => Chunk::EndLineFeed,
        Chunk::TrailerName { bytes } if byte == b':' => Chunk::TrailerValue { bytes: bytes + 1 },
        Chunk::TrailerStart { bytes } | Chunk::TrailerName { bytes } if head::is_token(byte) => {
            Chunk::TrailerName { bytes: bytes + 1 }
        }
        Chunk::TrailerValue { bytes } if byte == b'\r' => Chunk::TrailerLineFeed { bytes },
        Chunk::TrailerValue { bytes } if !head::is_control(byte) => Chunk::TrailerValue { bytes: bytes + 1 },
        Chunk::TrailerLineFeed { bytes } if byte == b'\n' => Chunk::TrailerStart { bytes: bytes + 1 },
        Chunk::TrailerStart { .. }
        | Chunk::TrailerName { .. }
        | Chunk::TrailerValue { .. }
        | Chunk::TrailerLineFeed { .. } => {
            return Err("a trailer field is malformed");
        }
        Chunk::Data { .. } => return Err("unreachable: data is skipped, not stepped over"),
    }))
}

#[cfg(test)]
mod tests;
