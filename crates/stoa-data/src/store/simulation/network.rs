//! A network between processes and a PostgreSQL server that does to messages what a seed says. Everything is counted in
//! messages, so that a seed does the same to the same message of the same connection: it is held back until others have
//! passed, torn, or the last one of its connection; a direction goes silent; all connections of a process do.
//!
//! What TCP promises holds: bytes come in order and once, and what was sent may still arrive after its sender is gone.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// With nothing on its way for so long, what is held back goes on: nobody else will pass.
const QUIET: Duration = Duration::from_millis(2);
/// How long a message is late at most.
const LATE_MAX: Duration = Duration::from_secs(1);
/// Messages that pass before a network that was divided is whole again, at most.
const DIVIDED_MAX: u64 = 60;

/// Messages that are remembered, and bytes of each.
const TRACE: usize = 3_000;
const SHOWN: usize = 120;
/// Messages of a connection to which nothing happens that takes a client's whole patience: it signs in with them.
const SIGNING_IN: u64 = 12;

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    /// It waits until so many others have passed.
    Hold(u64),
    /// It waits until its sender has given up, and then arrives.
    Late,
    /// The connection ends before it.
    Cut,
    /// It arrives, and the connection ends behind it: whatever the answer is.
    Last,
    /// The connection ends in the middle of it.
    Torn,
    /// It is lost, and so is everything behind it in this direction.
    Silent,
    /// The whole process is out of reach until so many messages of others have passed.
    Divide(u64),
}

/// The network.
pub(super) struct Network {
    seed: u64,
    /// Whether anything happens to messages.
    rough: Cell<bool>,
    /// Messages that have passed.
    passed: Cell<u64>,
    moved: Notify,
    processes: RefCell<HashMap<usize, Rc<Process>>>,
    /// The last messages.
    trace: RefCell<VecDeque<String>>,
}

/// A process on it.
struct Process {
    number: usize,
    /// Connections so far.
    connections: Cell<u64>,
    /// The number of messages that must have passed before its messages do again.
    divided_until: Cell<u64>,
    /// How often it was killed.
    killed: Cell<u64>,
    dying: Notify,
}

/// One direction of a connection.
struct Way {
    network: Rc<Network>,
    process: Rc<Process>,
    link: Rc<Link>,
    connection: u64,
    from_client: bool,
}

/// A connection.
struct Link {
    /// How often its process had been killed when it was made.
    killed: u64,
    /// Whether it ends now.
    cut: Cell<bool>,
    changed: Notify,
}

impl Network {
    pub(super) fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            seed,
            rough: Cell::new(false),
            passed: Cell::new(0),
            moved: Notify::new(),
            processes: RefCell::default(),
            trace: RefCell::default(),
        })
    }

    /// Whether anything happens to messages from now on.
    pub(super) fn set_rough(&self, rough: bool) {
        self.rough.set(rough);
    }

    /// The port where a process finds the server. In a `LocalSet`.
    pub(super) async fn join(self: &Rc<Self>, number: usize, server: u16) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let process = Rc::new(Process {
            number,
            connections: Cell::new(0),
            divided_until: Cell::new(0),
            killed: Cell::new(0),
            dying: Notify::new(),
        });
        self.processes.borrow_mut().insert(number, Rc::clone(&process));
        let network = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (network, process) = (Rc::clone(&network), Rc::clone(&process));
                tokio::task::spawn_local(async move { network.connect(process, client, server).await });
            }
        });
        port
    }

    /// The last messages, as each process' connections had them.
    pub(super) fn trace(&self) -> String {
        Vec::from(self.trace.take()).join("\n")
    }

    /// Ends every connection of a process at once; of what it sent, what is on its way may still arrive.
    pub(super) fn kill(&self, number: usize) {
        if let Some(process) = self.processes.borrow().get(&number) {
            process.killed.set(process.killed.get() + 1);
            process.dying.notify_waiters();
        }
    }

    async fn connect(self: Rc<Self>, process: Rc<Process>, client: TcpStream, server: u16) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let connection = process.connections.get();
        process.connections.set(connection + 1);
        let link = Rc::new(Link {
            killed: process.killed.get(),
            cut: Cell::new(false),
            changed: Notify::new(),
        });
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let way = |from_client| Way {
            network: Rc::clone(&self),
            process: Rc::clone(&process),
            link: Rc::clone(&link),
            connection,
            from_client,
        };
        let (there, back) = (way(true), way(false));
        tokio::join!(
            there.run(from_client, to_server),
            back.run(from_server, to_client)
        );
    }

    /// What a seed does to a message.
    fn fate(
        &self,
        (process, connection): (usize, u64),
        from_client: bool,
        message: u64,
        commits: bool,
    ) -> Fate {
        if !self.rough.get() {
            return Fate::Pass;
        }
        let mut rng = fastrand::Rng::with_seed(self.seed);
        for part in [process as u64, connection, u64::from(from_client), message] {
            rng = fastrand::Rng::with_seed(rng.u64(..) ^ part);
        }
        let patient = message > SIGNING_IN;
        if commits {
            // What its sender does not learn the end of is what this is about.
            match rng.u8(..100) {
                0..6 => return Fate::Last,
                6..9 => return Fate::Late,
                9..11 => return Fate::Cut,
                _ => {}
            }
        }
        match rng.u16(..4_000) {
            0..120 => Fate::Hold(rng.u64(1..20)),
            120..124 if from_client && patient => Fate::Late,
            124..132 => Fate::Cut,
            132..134 => Fate::Torn,
            134..136 if patient => Fate::Silent,
            136..138 => Fate::Divide(rng.u64(1..DIVIDED_MAX)),
            _ => Fate::Pass,
        }
    }

    /// Waits until so many messages have passed, or none does any more.
    async fn wait(&self, until: u64) {
        while self.passed.get() < until {
            let before = self.passed.get();
            let _ = tokio::time::timeout(QUIET, self.moved.notified()).await;
            if self.passed.get() == before {
                return;
            }
        }
    }
}

impl Link {
    fn end(&self) {
        self.cut.set(true);
        self.changed.notify_waiters();
    }
}

impl Way {
    /// Passes messages on until one side is gone, and tells the other.
    async fn run(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let ended = self.pass(&mut from, &mut to).await;
        if ended.is_err() || !self.from_client {
            self.link.end();
        }
        // Dropped, both are closed.
    }

    async fn pass(&self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> io::Result<()> {
        // The first message of a client has no kind.
        let mut kind = usize::from(!self.from_client);
        for number in 0.. {
            let Some(message) = self.next(from, kind).await? else {
                return Ok(());
            };
            kind = 1;
            self.whole().await;
            let connection = (self.process.number, self.connection);
            let commits = self.from_client && message.starts_with(b"Q") && message.ends_with(b"COMMIT\0");
            let fate = (self.network).fate(connection, self.from_client, number, commits);
            self.remember(number, fate, &message);
            match fate {
                Fate::Pass => {}
                Fate::Hold(others) => self.network.wait(self.network.passed.get() + others).await,
                Fate::Late => {
                    let rest = self.until_left(from).await;
                    to.write_all(&[message, rest].concat()).await?;
                    return Ok(());
                }
                Fate::Cut => return Err(io::ErrorKind::ConnectionReset.into()),
                Fate::Last => {
                    to.write_all(&message).await?;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                Fate::Torn => {
                    to.write_all(&message[..message.len() / 2]).await?;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                Fate::Silent => return self.silent(from).await,
                Fate::Divide(others) => {
                    self.process.divided_until.set(self.network.passed.get() + others);
                    self.whole().await;
                }
            }
            to.write_all(&message).await?;
            self.network.passed.set(self.network.passed.get() + 1);
            self.network.moved.notify_waiters();
        }
        Ok(())
    }

    /// What is shown of a message when the judgement is bad.
    fn remember(&self, number: u64, fate: Fate, message: &[u8]) {
        let (process, connection) = (self.process.number, self.connection);
        let way = if self.from_client { '>' } else { '<' };
        let shown = |c: &u8| if c.is_ascii_graphic() { char::from(*c) } else { ' ' };
        let text: String = message.iter().take(SHOWN).map(shown).collect();
        let mut trace = self.network.trace.borrow_mut();
        if trace.len() == TRACE {
            trace.pop_front();
        }
        trace.push_back(format!("{process}.{connection} {way} {number} {fate:?} {text}"));
    }

    /// Waits until the process is no longer divided from the server.
    async fn whole(&self) {
        self.network.wait(self.process.divided_until.get()).await;
    }

    /// Waits until the client is gone; gives what it has sent meanwhile.
    async fn until_left(&self, from: &mut OwnedReadHalf) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(LATE_MAX, from.read_to_end(&mut rest)).await;
        rest
    }

    /// The next message; `None` when there comes none.
    async fn next(&self, from: &mut OwnedReadHalf, kind: usize) -> io::Result<Option<Vec<u8>>> {
        let read = async {
            let mut message = vec![0; kind + 4];
            from.read_exact(&mut message).await?;
            let length = [
                message[kind],
                message[kind + 1],
                message[kind + 2],
                message[kind + 3],
            ];
            let length = u32::from_be_bytes(length) as usize - 4;
            let head = message.len();
            message.resize(head + length, 0);
            from.read_exact(&mut message[head..]).await?;
            io::Result::Ok(Some(message))
        };
        tokio::select! {
            biased;
            () = self.over() => Ok(None),
            message = read => match message {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                message => message,
            },
        }
    }

    /// Nothing of this direction arrives any more, and nobody is told.
    async fn silent(&self, from: &mut OwnedReadHalf) -> io::Result<()> {
        let mut lost = [0; 4096];
        loop {
            tokio::select! {
                biased;
                () = self.over() => break,
                read = from.read(&mut lost) => if read? == 0 { break },
            }
        }
        // The server learns of the end, but not at once.
        self.network.wait(self.network.passed.get() + DIVIDED_MAX).await;
        Ok(())
    }

    /// Waits until the connection ends for another reason than its own.
    async fn over(&self) {
        while !self.link.cut.get() && self.process.killed.get() == self.link.killed {
            tokio::select! {
                () = self.link.changed.notified() => {}
                () = self.process.dying.notified() => {}
            }
        }
    }
}
