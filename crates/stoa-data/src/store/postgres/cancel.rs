//! Asks a server, over a connection of its own, to stop what another one is at.

use super::config::Target;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Error};

/// Bytes of an answer that nobody expects.
const ANSWER_BYTES: usize = 64;

/// Asks, and is done when the other side has closed: `PgBouncer` forgets who has left before it could hand the request on.
pub(super) async fn cancel(token: &CancelToken, target: &Target) -> Result<(), Error> {
    let mut tls = target.tls.clone();
    let config = &target.config;
    let (hosts, ports) = (config.get_hosts(), config.get_ports());
    let port = ports.first().copied().unwrap_or(5432);
    let ([host], true) = (hosts, config.get_hostaddrs().is_empty()) else {
        return token.cancel_query(tls).await;
    };
    let (name, stream) = match host {
        Host::Tcp(name) => (
            name.as_str(),
            TcpStream::connect((name.as_str(), port)).await.map(Patient::of),
        ),
        #[cfg(unix)]
        Host::Unix(folder) => {
            let socket = folder.join(format!(".s.PGSQL.{port}"));
            ("", UnixStream::connect(socket).await.map(Patient::of))
        }
    };
    // A server that cannot be reached ends the statement by its own time limit.
    let Ok(stream) = stream else { return Ok(()) };
    match MakeTlsConnect::<Patient>::make_tls_connect(&mut tls, name) {
        Ok(tls) => token.cancel_query_raw(stream, tls).await,
        Err(_) => token.cancel_query_raw(stream, tokio_postgres::NoTls).await,
    }
}

/// Both kinds of sockets.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A stream that is shut down by the other side.
struct Patient(Box<dyn Socket>);

impl Patient {
    fn of(socket: impl Socket + 'static) -> Self {
        Self(Box::new(socket))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    /// Waits until nothing more comes.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut *self.0).poll_flush(context))?;
        loop {
            let mut bytes = [0; ANSWER_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut *self.0).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
