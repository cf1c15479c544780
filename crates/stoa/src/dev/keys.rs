//! Single keys in a terminal.

use crate::run::Event;
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use std::io::Read;
use tokio::sync::mpsc;

/// The terminal gives keys at once and does not show them, until this is dropped. Ctrl-C stays a signal, and
/// what is printed looks as ever.
pub(crate) struct Keys {
    before: Termios,
}

impl Keys {
    /// Starts reading keys; `None` when stdin is no terminal of ours: a process in the background that
    /// touched its terminal would be stopped by the system.
    pub(crate) fn start(events: mpsc::Sender<Event>) -> Option<Self> {
        let stdin = std::io::stdin();
        if termios::tcgetpgrp(&stdin).ok()? != rustix::process::getpgrp() {
            return None;
        }
        let before = termios::tcgetattr(&stdin).ok()?;
        let mut keys = before.clone();
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        termios::tcsetattr(&stdin, OptionalActions::Now, &keys).ok()?;
        let reader = std::thread::Builder::new()
            .name(String::from("keys"))
            .spawn(move || {
                let mut byte = [0];
                while matches!(std::io::stdin().read(&mut byte), Ok(1)) {
                    let event = match byte[0] {
                        b'q' | 4 => Event::Stop,
                        b'r' => Event::Reload,
                        other => Event::Key(char::from(other)),
                    };
                    if events.blocking_send(event).is_err() {
                        return;
                    }
                }
            });
        let keys = Self { before };
        reader.is_ok().then_some(keys)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
