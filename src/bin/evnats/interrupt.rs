//! Ctrl-C, and what asks a process to end: the first time a verb ends in order, the second time the
//! process does at once.

use crate::session::App;
use evnats::Client;

/// Runs when the process is asked to end. Where there are no signals, it just ends then.
#[cfg(unix)]
pub(crate) fn on_interrupt(
    client: &Client<App>,
    mut run: impl FnMut(&mut App) + 'static,
) -> evnats::Result<()> {
    use mio::Interest;
    use mio::net::UnixStream;
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::{flag, low_level::pipe};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    let (wakes, woken) = UnixStream::pair()?;
    let is_asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // they run in this order, so the first signal is one more chance
        flag::register_conditional_default(signal, is_asked.clone())?;
        flag::register(signal, is_asked.clone())?;
        let wakes = std::os::fd::AsFd::as_fd(&wakes).try_clone_to_owned()?;
        pipe::register(signal, std::os::unix::net::UnixStream::from(wakes))?;
    }
    client.handle().add_source(woken, Interest::READABLE, move |app: &mut App, signals, _| {
        signals.remove();
        run(app);
    })?;
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn on_interrupt(
    _: &Client<App>,
    _: impl FnMut(&mut App) + 'static,
) -> evnats::Result<()> {
    Ok(())
}
