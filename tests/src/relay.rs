use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// A way to a server that the story can close. While it is closed nothing passes and nothing breaks: connections stay,
/// new ones are taken and get no answer, and neither side learns that the other has left.
pub struct Relay {
    pub addr: SocketAddr,
    closed: watch::Sender<bool>,
    task: AbortHandle,
}

impl Relay {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("its address");
        let (closed, seen) = watch::channel(false);
        let task = tokio::spawn(async move {
            // Dropped with this task, and every connection with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(carry(stream, server, seen.clone()));
            }
        });
        Self { addr, closed, task: task.abort_handle() }
    }

    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// What waited goes on its way.
    pub fn open(&self) {
        self.closed.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, server: SocketAddr, mut closed: watch::Receiver<bool>) {
    let _ = closed.wait_for(|closed| !closed).await;
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(pass(from_client, to_server, closed.clone()), pass(from_server, to_client, closed));
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut closed: watch::Receiver<bool>) {
    let mut part = vec![0; 16_384];
    loop {
        let read = from.read(&mut part).await;
        if closed.wait_for(|closed| !closed).await.is_err() {
            return;
        }
        match read {
            Ok(n) if n > 0 && to.write_all(&part[..n]).await.is_ok() => {}
            // A side that left: the other one learns it as it would without a relay.
            _ => return,
        }
    }
}
