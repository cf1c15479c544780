//! The PROXY protocol, versions 1 and 2: a balancer that only passes bytes on says in front of them who connected to it
//! (haproxy.org/download/3.0/doc/proxy-protocol.txt).
//!
//! It is read from peers that the file names, and must be there; nobody else is asked for it, and where another sends it
//! it is a malformed request.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use stoa_exchange::Scheme;
use tokio::{
    io::{AsyncReadExt, Interest},
    net::TcpStream,
};

/// What version 2 begins with. No version 1 is shorter.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 1 has no more bytes than this, by its definition.
const LINE_BYTES_MAX: usize = 107;

/// What version 2 says beside addresses, at most.
const BLOCK_BYTES_MAX: usize = 4096;

/// Who connected to the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// `None` where the balancer speaks for itself, as its health checks do.
    pub(super) peer: Option<SocketAddr>,
    /// What the client spoke with the balancer, where that is said.
    pub(super) scheme: Option<Scheme>,
}

const NOTHING: Said = Said {
    peer: None,
    scheme: None,
};

/// Reads the header and not a byte behind it.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Said> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == *SIGNATURE {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let [command, family, length @ ..] = head;
        let length = usize::from(u16::from_be_bytes(length));
        if length > BLOCK_BYTES_MAX {
            return Err(malformed());
        }
        let mut block = vec![0; length];
        stream.read_exact(&mut block).await?;
        return binary(command, family, &block).ok_or_else(malformed);
    }
    if !start.starts_with(b"PROXY ") {
        return Err(malformed());
    }
    let mut all = start.to_vec();
    loop {
        stream.ready(Interest::READABLE).await?;
        let mut ahead = [0; LINE_BYTES_MAX];
        let seen = stream.peek(&mut ahead).await?;
        let ahead = ahead.get(..seen).unwrap_or_default();
        // What has no end of the line in it is all of the line.
        let end = memchr::memchr(b'\n', ahead).map_or(seen, |at| at + 1);
        let taken = all.len();
        all.resize(taken + end, 0);
        stream
            .read_exact(all.get_mut(taken..).unwrap_or_default())
            .await?;
        if end == 0 || all.len() > LINE_BYTES_MAX {
            return Err(malformed());
        }
        if all.ends_with(b"\n") {
            return line(&all).ok_or_else(malformed);
        }
    }
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "there is no header of the PROXY protocol",
    )
}

/// Version 1.
fn line(all: &[u8]) -> Option<Said> {
    let text = std::str::from_utf8(all).ok()?.strip_suffix("\r\n")?;
    let mut words = text.strip_prefix("PROXY ")?.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(NOTHING);
    }
    let (from, to) = (words.next()?, words.next()?);
    let port = |word: &str| {
        let digits = word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        word.parse::<u16>().ok().filter(|_| digits)
    };
    let (from_port, _) = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    let from: IpAddr = match family {
        "TCP4" => {
            to.parse::<Ipv4Addr>().ok()?;
            from.parse::<Ipv4Addr>().ok()?.into()
        }
        "TCP6" => {
            to.parse::<Ipv6Addr>().ok()?;
            from.parse::<Ipv6Addr>().ok()?.into()
        }
        _ => return None,
    };
    Some(Said {
        peer: Some((from, from_port).into()),
        scheme: None,
    })
}

/// Version 2, behind its signature.
fn binary(command: u8, family: u8, block: &[u8]) -> Option<Said> {
    match command {
        0x20 => return Some(NOTHING),
        0x21 => {}
        _ => return None,
    }
    let (peer, rest) = match family {
        // TCP over IPv4: both addresses, both ports.
        0x11 => {
            let (addresses, rest) = block.split_first_chunk::<12>()?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses;
            let port = u16::from_be_bytes([high, low]);
            (Some((Ipv4Addr::new(a, b, c, d), port).into()), rest)
        }
        0x21 => {
            let (from, rest) = block.split_first_chunk::<16>()?;
            let (_, rest) = rest.split_first_chunk::<16>()?;
            let (ports, rest) = rest.split_first_chunk::<4>()?;
            let port = u16::from_be_bytes([ports[0], ports[1]]);
            (Some((Ipv6Addr::from(*from), port).into()), rest)
        }
        // Something unspecified, or a socket on its machine: no address that means anything here.
        0x00 => return Some(NOTHING),
        0x31 => (None, block.get(216..)?),
        _ => return None,
    };
    Some(Said {
        peer,
        scheme: secure(rest)?.then_some(Scheme::Https),
    })
}

/// Whether what is said beside the addresses says that the client spoke TLS; `None` where it is malformed.
fn secure(mut rest: &[u8]) -> Option<bool> {
    const SSL: u8 = 0x20;
    const CLIENT_SSL: u8 = 1;
    let mut found = false;
    while let Some((&[kind, high, low], behind)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, behind) = behind.split_at_checked(length)?;
        found |= kind == SSL && value.first().is_some_and(|bits| bits & CLIENT_SSL != 0);
        rest = behind;
    }
    rest.is_empty().then_some(found)
}

#[cfg(test)]
mod tests;
