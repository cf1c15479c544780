//! How the addresses of a service share its requests and are kept in use.

/// What a service says about its addresses beside their URLs. The default is what holds when nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// `weight` and `priority` of each address, in the order of `url`; what is not there is the default.
    pub shares: Vec<Share>,
}

impl Upstream {
    /// The share of the address at a position.
    pub fn share(&self, position: usize) -> Share {
        self.shares.get(position).copied().unwrap_or_default()
    }
}

/// The part of the requests that an address gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// `weight` against the others of its group. 1..=1000, default 1.
    pub weight: u16,
    /// `priority`: its group. 0 is used first, the next one as far as too little of it is in use. 0..=9, default 0.
    pub priority: u8,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            weight: 1,
            priority: 0,
        }
    }
}
