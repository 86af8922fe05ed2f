//! The end of the process, as it is asked for.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Says from now on whether the process was told to end: a signal that comes between two looks is not lost.
pub fn signalled() -> watch::Receiver<bool> {
    let (told, signalled) = watch::channel(false);
    let (term, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    tokio::spawn(async move {
        match (term, interrupt) {
            (Ok(mut term), Ok(mut interrupt)) => tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            },
            _ => std::future::pending().await,
        }
        let _ = told.send_replace(true);
    });
    signalled
}

/// Resolves when that is true, or nobody is left who could say so.
pub async fn stops(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
