//! Faults are shown with their lines, and every code is explained.
