//! The small grammars: what they accept, and where they point when they do not.
