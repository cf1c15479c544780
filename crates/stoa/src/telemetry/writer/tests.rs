//! Outputs that block, are closed or work.

use super::*;
use std::sync::mpsc;

/// Gives what is written to a channel; the first write waits until `gate` says so.
struct Gated {
    gate: mpsc::Receiver<()>,
    entered: mpsc::Sender<()>,
    written: mpsc::Sender<Vec<u8>>,
    open: bool,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.open {
            let _ = self.entered.send(());
            self.gate.recv().map_err(io::Error::other)?;
            self.open = true;
        }
        let _ = self.written.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn report(lines: u64) -> String {
    format!("{lines} dropped\n")
}

#[test]
fn a_blocked_output_holds_nobody_and_the_drops_are_reported() {
    let (open, gate) = mpsc::channel();
    let (entered, inside) = mpsc::channel();
    let (written, output) = mpsc::channel();
    let writer = Writer::start(
        Gated {
            gate,
            entered,
            written,
            open: false,
        },
        report,
    )
    .unwrap();
    writer.push(b"first\n");
    inside.recv().unwrap();
    let line = [b'x'; 1024];
    let fit = BUFFER_BYTES_MAX / line.len();
    for _ in 0..fit + 10 {
        writer.push(&line);
    }
    assert_eq!(writer.dropped(), 10);
    open.send(()).unwrap();
    writer.close();
    let whole: Vec<u8> = output.try_iter().flatten().collect();
    assert!(whole.starts_with(b"first\n"));
    assert!(whole.ends_with(b"10 dropped\n"));
    assert_eq!(whole.len(), 6 + fit * 1024 + 11);
}

#[test]
fn a_closed_output_drops_and_goes_on() {
    let writer = Writer::start(Closed, report).unwrap();
    writer.push(b"one\ntwo\n");
    writer.close();
    assert_eq!(writer.dropped(), 2);
    writer.push(b"three\n");
    assert_eq!(writer.dropped(), 3);
}
