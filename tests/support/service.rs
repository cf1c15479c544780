//! A service in Python, in a process of its own.

use super::{repository, server::free_port, tools};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// The service; ended when dropped.
pub(crate) struct Service {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Service {
    /// Starts a script of `tests/clients` and waits until it listens.
    pub(crate) fn start(script: &str) -> Self {
        let address = free_port();
        let mut child = Command::new(tools::python())
            .arg(repository().join("tests/clients").join(script))
            .arg(&address)
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("the output is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("it says when it is ready");
        assert_eq!(line.trim(), "ready", "{script}");
        Self { child, address }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
