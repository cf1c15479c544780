//! What stands between in many installations, as PgBouncer's transaction mode does it: each transaction gets whichever
//! server connection is free, and settings of a session are refused.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Connections to the server.
const SERVERS: usize = 3;

/// The pooler; its threads end with the process.
pub(crate) struct Pooler {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    free: Mutex<VecDeque<TcpStream>>,
    returned: Condvar,
    greeting: Vec<u8>,
    /// Clients that wanted a setting in their session.
    refused: AtomicU64,
    transactions: AtomicU64,
}

impl Pooler {
    /// Stands before the database of the server at `port`.
    pub(crate) fn start(port: u16, database: &str) -> Self {
        let mut greeting = Vec::new();
        let servers = (0..SERVERS).map(|_| {
            let (stream, said) = server(port, database).unwrap();
            greeting = said;
            stream
        });
        let free = Mutex::new(servers.collect());
        let shared = Arc::new(Shared {
            free,
            returned: Condvar::new(),
            greeting,
            refused: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(client, &shared));
            }
        });
        Self { port, shared }
    }

    /// How many clients wanted a setting in their session, and how many transactions there were.
    pub(crate) fn seen(&self) -> (u64, u64) {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (count(&self.shared.refused), count(&self.shared.transactions))
    }
}

/// Signs in to the server; gives what it said until it was ready.
fn server(port: u16, database: &str) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let body = format!("user\0stoa\0database\0{database}\0client_encoding\0UTF8\0\0");
    stream.write_all(&u32::try_from(body.len() + 8).unwrap().to_be_bytes())?;
    stream.write_all(&196_608_u32.to_be_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut said = Vec::new();
    while forward(&mut stream, &mut said)?.0 != b'Z' {}
    Ok((stream, said))
}

/// One message on to the other side; its kind and the first byte of its body.
fn forward(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u8, u8)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    to.write_all(&head)?;
    to.write_all(&body)?;
    Ok((head[0], body.first().copied().unwrap_or(0)))
}

fn serve(client: TcpStream, shared: &Shared) {
    // A client that left is no failure of the test.
    let _ = session(client, shared);
}

fn session(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    loop {
        let mut head = [0; 8];
        client.read_exact(&mut head)?;
        let (length, code) = head.split_at(4);
        let mut body = vec![0; u32::from_be_bytes(length.try_into().unwrap()) as usize - 8];
        client.read_exact(&mut body)?;
        match u32::from_be_bytes(code.try_into().unwrap()) {
            // TLS is not offered.
            80_877_103 => client.write_all(b"N")?,
            196_608 if body.split(|b| *b == 0).any(|word| word == b"options") => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
                let text = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0";
                client.write_all(b"E")?;
                client.write_all(&u32::try_from(text.len() + 4).unwrap().to_be_bytes())?;
                return client.write_all(text);
            }
            196_608 => break,
            // A request to cancel.
            _ => return Ok(()),
        }
    }
    client.write_all(&shared.greeting)?;
    let mut held: Option<TcpStream> = None;
    let mut buffered = client.try_clone()?;
    loop {
        let mut message = Vec::new();
        let (kind, _) = forward(&mut buffered, &mut message)?;
        if kind == b'X' {
            return Ok(());
        }
        let server = held.get_or_insert_with(|| {
            let mut free = shared.free.lock().unwrap();
            loop {
                match free.pop_front() {
                    Some(server) => return server,
                    None => free = shared.returned.wait(free).unwrap(),
                }
            }
        });
        server.write_all(&message)?;
        if !matches!(kind, b'Q' | b'S') {
            continue;
        }
        let mut answer = Vec::new();
        let status = loop {
            if let (b'Z', status) = forward(server, &mut answer)? {
                break status;
            }
        };
        if status == b'I' {
            shared.transactions.fetch_add(1, Ordering::Relaxed);
            shared.free.lock().unwrap().extend(held.take());
            shared.returned.notify_one();
        }
        client.write_all(&answer)?;
    }
}
