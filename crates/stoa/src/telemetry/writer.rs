//! The thread that writes log lines, so that a blocked or closed stdout never holds a worker.
//!
//! Workers append to one buffer of bounded size; the thread takes the whole buffer and writes it. A line that
//! does not fit is dropped and counted, and the count is written as soon as lines are taken again.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bytes that may wait to be written.
const BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes at which the thread stops gathering and writes.
const BATCH_BYTES: usize = 256 * 1024;
/// How long a line may wait for others, so that one wake-up and one write serve many lines.
const GATHER: Duration = Duration::from_millis(20);
/// How long the process waits at its end for the last lines.
const CLOSE: Duration = Duration::from_secs(1);

/// The bounded buffer and its thread.
pub(crate) struct Writer {
    state: Mutex<State>,
    work: Condvar,
    ended: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// Lines dropped since the last report.
    unreported: u64,
    closing: bool,
    ended: bool,
}

impl Writer {
    /// Starts the thread. `report` makes the line that tells of dropped ones.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start<W: Write + Send + 'static>(
        to: W,
        report: fn(u64) -> String,
    ) -> io::Result<Arc<Self>> {
        let writer = Arc::new(Self {
            state: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let own = Arc::clone(&writer);
        std::thread::Builder::new()
            .name(String::from("log"))
            .spawn(move || own.run(to, report))?;
        Ok(writer)
    }

    /// Hands over whole lines; drops and counts them when the buffer is full. Never waits for the output.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.lines.len() + line.len() > BUFFER_BYTES_MAX || state.ended {
            state.unreported += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = state.lines.len();
        state.lines.extend_from_slice(line);
        let wake = before == 0 || (before < BATCH_BYTES && state.lines.len() >= BATCH_BYTES);
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    /// Lines dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what waits and ends the thread; gives up after a second when the output takes nothing.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.work.notify_one();
        let _ = self.ended.wait_timeout_while(state, CLOSE, |s| !s.ended);
    }

    fn run(&self, mut to: impl Write, report: fn(u64) -> String) {
        let mut batch = Vec::new();
        while self.next(&mut batch, report) {
            if to.write_all(&batch).and_then(|()| to.flush()).is_err() {
                let lines = batch.split_inclusive(|b| *b == b'\n').count() as u64;
                self.dropped.fetch_add(lines, Ordering::Relaxed);
                self.lock().unreported += lines;
            }
        }
        self.lock().ended = true;
        self.ended.notify_all();
    }

    /// Takes what waits into `batch`; false when there is nothing left and the writer closes.
    fn next(&self, batch: &mut Vec<u8>, report: fn(u64) -> String) -> bool {
        batch.clear();
        let state = self.lock();
        let state = self
            .work
            .wait_while(state, |s| s.lines.is_empty() && !s.closing)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (mut state, _) = self
            .work
            .wait_timeout_while(state, GATHER, |s| s.lines.len() < BATCH_BYTES && !s.closing)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.lines.is_empty() {
            return false;
        }
        std::mem::swap(batch, &mut state.lines);
        let unreported = std::mem::take(&mut state.unreported);
        drop(state);
        if unreported > 0 {
            batch.extend_from_slice(report(unreported).as_bytes());
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
