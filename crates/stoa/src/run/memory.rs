//! How memory is asked for.

/// Asks for memory in small pages. A connection that rests holds buffers of which it has touched the first bytes; in
/// pages of 2 MiB it takes all of them, half as much again. Where the system says no, connections take more memory;
/// that is no reason not to start.
pub(super) fn small_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
