//! A forwarder of connections that holds back what comes from the server, as a network of that length would.

use crate::Outcome;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Pieces under way on one connection; more wait in the socket.
const PIECES: usize = 1024;

/// Forwards until it is ended.
pub(crate) async fn forward(port: &str, to: &str, milliseconds: &str) -> Outcome {
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    let (to, delay): (u16, _) = (to.parse()?, Duration::from_millis(milliseconds.parse()?));
    loop {
        let (near, _) = listener.accept().await?;
        tokio::spawn(async move {
            // Either side may end a connection at any time.
            let _ = carry(near, to, delay).await;
        });
    }
}

async fn carry(near: TcpStream, to: u16, delay: Duration) -> std::io::Result<()> {
    let far = TcpStream::connect(("127.0.0.1", to)).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let (send, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let there = async {
        tokio::io::copy(&mut near_read, &mut far_write).await?;
        far_write.shutdown().await
    };
    let back = async {
        let mut space = vec![0; 64 * 1024];
        loop {
            let bytes = far_read.read(&mut space).await?;
            if bytes == 0
                || send
                    .send((Instant::now() + delay, space[..bytes].to_vec()))
                    .await
                    .is_err()
            {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some((when, piece)) = pieces.recv().await {
            sleep_until(when).await;
            near_write.write_all(&piece).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = async { tokio::try_join!(there, write) } => done.map(|_| ()),
        done = back => done,
    }
}
