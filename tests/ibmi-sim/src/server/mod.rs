//! The Mapepire server: one TLS port with WebSocket below `/db/` and a few plain requests beside it.

mod blob;
mod cl;
mod counts;
mod handshake;
mod http;
mod parameters;
mod rules;
mod session;
mod statement;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

pub use counts::Counts;
pub use tls::{Identity, identity};

use crate::world::World;
use blob::BlobStore;
use counts::{Tally, count};

/// Longest time a client may take for the TLS handshake and its request.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// What the server shares with the rest of the simulator.
#[derive(Debug)]
pub struct Server {
    /// The system behind it.
    pub world: Arc<World>,
    identity: RwLock<Identity>,
    /// Counts up whenever all sockets are to be dropped.
    dropped: watch::Sender<u64>,
    /// Counts up whenever all sockets are to fall silent.
    silenced: watch::Sender<u64>,
    /// Until when connections are refused.
    away: RwLock<Option<tokio::time::Instant>>,
    tally: Arc<Tally>,
    blobs: Arc<BlobStore>,
}

impl Server {
    /// A server that shows this certificate.
    #[must_use]
    pub fn new(world: Arc<World>, identity: Identity) -> Arc<Self> {
        let tally = Arc::new(Tally::default());
        Arc::new(Self {
            blobs: BlobStore::new(Arc::clone(&world), Arc::clone(&tally)),
            world,
            identity: RwLock::new(identity),
            dropped: watch::Sender::new(0),
            silenced: watch::Sender::new(0),
            away: RwLock::new(None),
            tally,
        })
    }

    /// Drops all sockets without a closing handshake.
    pub fn drop_sockets(&self) {
        self.dropped.send_modify(|count| *count += 1);
    }

    /// Leaves all sockets alone for good, without closing them.
    pub fn silence_sockets(&self) {
        self.silenced.send_modify(|count| *count += 1);
    }

    /// What clients have done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Drops all sockets and refuses new ones for a while.
    pub fn stay_away(&self, time: Duration) {
        *self.away.write().unwrap_or_else(PoisonError::into_inner) = Some(tokio::time::Instant::now() + time);
        self.drop_sockets();
    }

    /// Shows another certificate to new connections.
    pub fn change_identity(&self, identity: Identity) {
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// What a client must trust now.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).ca_pem.clone()
    }

    fn is_away(&self) -> bool {
        self.away
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|until| tokio::time::Instant::now() < until)
    }

    /// Accepts connections until the task is dropped; its connections end with it.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        count(&self.tally.connections);
                        if !self.is_away() {
                            let server = Arc::clone(&self);
                            connections.spawn(async move { server.connection(stream, peer).await });
                        }
                    }
                    Err(error) => debug!(%error, "accept failed"),
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let (mut dropped, mut silenced) = (self.dropped.subscribe(), self.silenced.subscribe());
        dropped.mark_unchanged();
        silenced.mark_unchanged();
        let config = Arc::clone(&self.identity.read().unwrap_or_else(PoisonError::into_inner).config);
        let work = async {
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "no delay could not be set");
            }
            let tls = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
            let Ok(Ok(tls)) = tls else { return };
            match handshake::open(tls, &self).await {
                Ok(Some((socket, login))) => session::run(&self, socket, login, peer).await,
                Ok(None) => {}
                Err(error) => debug!(%peer, %error, "handshake failed"),
            }
        };
        tokio::pin!(work);
        tokio::select! {
            () = &mut work => {}
            _ = dropped.changed() => debug!(%peer, "socket dropped on purpose"),
            _ = silenced.changed() => {
                debug!(%peer, "socket left alone on purpose");
                // It stays open until all are dropped; its work is not gone on with.
                let _ = dropped.changed().await;
            }
        }
    }
}
