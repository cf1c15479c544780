//! What wakes the main loop: signals of the system, a saved file, a key.

use std::io;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// Something to do for the main loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// SIGHUP or `r`: read the file again.
    Reload,
    /// A watched file was written: read it again if its text differs.
    Saved,
    /// SIGTERM, SIGINT or `q`: drain and end.
    Stop,
    /// A key was pressed.
    Key(char),
}

/// Sends the signals of the system. SIGTERM and SIGINT stop; SIGHUP reloads.
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn listen(events: &mpsc::Sender<Event>) -> io::Result<()> {
    for (kind, event) in [
        (SignalKind::terminate(), Event::Stop),
        (SignalKind::interrupt(), Event::Stop),
        (SignalKind::hangup(), Event::Reload),
    ] {
        let mut signals = signal(kind)?;
        let events = events.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if events.send(event).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
