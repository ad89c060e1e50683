//! The one port, and who is served by whom.
//!
//! One thread accepts connections and looks at the first message of each, which tells who it is. Agents are spread
//! over worker threads. People and programs at the interface have a thread of their own: a fleet that returns at
//! once keeps the workers busy for seconds, and somebody who looks at it meanwhile must not wait behind ten
//! thousand handshakes.

use super::listener::{self, Accepted, Refused};
use super::websocket::{self, Stream};
use crate::app::App;
use crate::identity::peer::{ConnectionInfo, Peer};
use crate::identity::tls::{self, AgentVerifier, TlsError};
use actix_http::{HttpService, Request};
use actix_service::{
    IntoServiceFactory as _, Service, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::dev::{AppConfig, Extensions};
use actix_web::middleware::Compress;
use actix_web::{App as HttpApp, web};
use rustls::ServerConfig;
use std::future::ready;
use std::io::{
    self,
    ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted},
};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long connections have to end on shutdown.
pub const SHUTDOWN: Duration = Duration::from_secs(5);
/// Head of a request must be in by then.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// A client that does not finish its part of closing is left to itself.
const DISCONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// An idle HTTP connection is kept for this long: a poller of 30 s shall not dial each time.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections of people and programs at a time; they need some hundred.
const MAX_PEOPLE: usize = 2_048;
/// Connections that may wait for a thread.
const QUEUE: usize = 1_024;
/// Connections whose first message has not come; more wait in the system.
const MAX_SILENT: usize = 8_192;
/// After the system had no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// What every thread serves with.
#[derive(Clone)]
struct Site {
    app: web::Data<App>,
    tls: Arc<ServerConfig>,
    /// For browsers.
    names_authorities: bool,
}

impl Site {
    /// How the next connection is secured. What is named is of the moment, for authorities come and go.
    fn tls(&self) -> Result<Arc<ServerConfig>, Refused> {
        if !self.names_authorities {
            return Ok(Arc::clone(&self.tls));
        }
        let named = tls_config(&self.app, self.app.verifier.naming_authorities());
        named.map(Arc::new).map_err(|error| Refused::Tls(io::Error::other(error)))
    }

    /// The HTTP server behind the handshake.
    fn http(
        &self,
    ) -> impl ServiceFactory<
        Accepted,
        Config = (),
        Response = (),
        Error = actix_http::error::DispatchError,
        InitError = (),
    > + use<> {
        let (data, ending) = (self.app.clone(), self.app.ending.clone());
        let routes = HttpApp::new()
            .app_data(data.clone())
            .wrap(Compress::default())
            .configure(crate::http::routes)
            .into_factory()
            .map_err(|error| {
                // What the gate refused.
                let mut response = error.error_response();
                crate::http::protect(response.headers_mut());
                response
            });
        HttpService::build()
            .client_request_timeout(REQUEST_DEADLINE)
            .client_disconnect_timeout(DISCONNECT_DEADLINE)
            .keep_alive(KEEP_ALIVE)
            .on_connect_ext(note_connection)
            .graceful_shutdown_signal(move || ending.clone().cancelled_owned())
            // WebSockets leave the HTTP server with their stream: its buffers would cost each agent 24 KB.
            .upgrade(fn_service(move |(request, framed): (Request, _)| {
                websocket::serve(&data, request, framed);
                ready(Ok::<(), actix_web::Error>(()))
            }))
            .finish(map_config(routes, |()| AppConfig::default()))
    }
}

/// Attaches what the handshake told to the connection.
fn note_connection(stream: &Stream, data: &mut Extensions) {
    let (socket, session) = stream.get_ref();
    let Ok(address) = socket.peer_addr() else { return };
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    data.insert(ConnectionInfo { address, peer: certificate.and_then(Peer::from_der) });
}

/// Shakes hands and serves a connection to its end.
async fn attend<S>(
    tcp: tokio::net::TcpStream,
    site: &Site,
    handshakes: &Semaphore,
    http: &S,
) -> Result<(), Refused>
where
    S: Service<Accepted, Response = (), Error = actix_http::error::DispatchError>,
{
    // The handshake's state is not kept for the life of the connection.
    let accepted = Box::pin(listener::shake(tcp, site.tls()?, handshakes)).await?;
    http.call(accepted).await.map_err(Refused::Service)
}

/// How much a thread serves.
#[derive(Clone, Copy)]
struct Room {
    /// Handshakes under way at a time.
    handshakes: usize,
    /// Connections at a time that are no WebSockets; those are counted by themselves.
    connections: usize,
}

/// A thread that serves connections.
struct Crew {
    connections: mpsc::Sender<TcpStream>,
    ended: oneshot::Receiver<()>,
}

impl Crew {
    fn start(name: &str, site: Site, room: Room) -> io::Result<Self> {
        let (connections, received) = mpsc::channel(QUEUE);
        let ended = thread(name, move || serve(site, room, received))?;
        Ok(Self { connections, ended })
    }
}

/// Runs `work`, which is made in the thread, in a thread of its own; resolves when it has ended.
fn thread<F: Future<Output = ()>>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> io::Result<oneshot::Receiver<()>> {
    let (end, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        LocalSet::new().block_on(&runtime, work());
        // Nobody waits if the start failed behind this.
        let _ = end.send(());
    })?;
    Ok(ended)
}

async fn serve(site: Site, room: Room, mut connections: mpsc::Receiver<TcpStream>) {
    let Ok(http) = site.http().new_service(()).await else {
        tracing::error!("the interface has no routes");
        return;
    };
    let http = Rc::new(http);
    let (open, handshakes) = (TaskTracker::new(), Rc::new(Semaphore::new(room.handshakes)));
    while let Some(connection) = connections.recv().await {
        let tcp = match tokio::net::TcpStream::from_std(connection) {
            Ok(tcp) if open.len() < room.connections => tcp,
            Ok(_) => {
                tracing::warn!(limit = room.connections, "too many connections, one was refused");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be served");
                continue;
            }
        };
        let (site, http, handshakes) = (site.clone(), Rc::clone(&http), Rc::clone(&handshakes));
        open.spawn_local(async move {
            if let Err(error) = attend(tcp, &site, &handshakes, &*http).await {
                tracing::debug!(?error, "a connection ended");
            }
        });
    }
    open.close();
    // Whoever does not end is cut off.
    let _ = tokio::time::timeout(SHUTDOWN, open.wait()).await;
}

/// Whom the accepted connections go to.
struct Doors {
    people: mpsc::Sender<TcpStream>,
    workers: Vec<mpsc::Sender<TcpStream>>,
}

impl Doors {
    fn door(&self, http_client: bool, turn: usize) -> &mpsc::Sender<TcpStream> {
        if http_client { &self.people } else { &self.workers[turn % self.workers.len()] }
    }

    /// Hands a connection over whose first message is there already, as it is when a whole fleet comes: to the worker
    /// whose turn it is, or to the thread of people. Gives it back if that takes a wait.
    fn hand_over(&self, tcp: TcpStream, turn: usize) -> Option<TcpStream> {
        let http_client = match listener::look(&tcp) {
            Ok(Some(http_client)) => http_client,
            Ok(None) => return Some(tcp),
            // It is gone.
            Err(_) => return None,
        };
        match self.door(http_client, turn).try_send(tcp) {
            Err(mpsc::error::TrySendError::Full(tcp)) => Some(tcp),
            // Closed: this end stops.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => None,
        }
    }

    /// Waits for the first message and for room.
    async fn show_in(&self, tcp: TcpStream, turn: usize) -> Result<(), Refused> {
        let tcp = tokio::net::TcpStream::from_std(tcp).map_err(Refused::Tls)?;
        let http_client = listener::is_http_client(&tcp).await?;
        let connection = tcp.into_std().map_err(Refused::Tls)?;
        // Who waited this long has given up.
        let handed = self.door(http_client, turn).send_timeout(connection, listener::QUEUE_DEADLINE).await;
        handed.map_err(|_| Refused::Timeout)
    }
}

async fn accept(listener: tokio::net::TcpListener, doors: Doors) {
    let (doors, places) = (Rc::new(doors), Arc::new(Semaphore::new(MAX_SILENT)));
    for turn in 0.. {
        let tcp = match listener.accept().await.and_then(|(tcp, _)| tcp.into_std()) {
            Ok(tcp) => tcp,
            // It went away before it was looked at.
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) => {
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted; is the limit of open files reached?");
                tokio::time::sleep(NO_ROOM).await;
                continue;
            }
        };
        let Some(tcp) = doors.hand_over(tcp, turn) else { continue };
        // The semaphore is never closed.
        let place = Arc::clone(&places).acquire_owned().await.ok();
        let doors = Rc::clone(&doors);
        tokio::task::spawn_local(async move {
            let _place = place;
            if let Err(error) = doors.show_in(tcp, turn).await {
                tracing::debug!(?error, "a connection came to nothing");
            }
        });
    }
}

/// The port, and the threads behind it.
pub struct Front {
    stop: CancellationToken,
    threads: Vec<oneshot::Receiver<()>>,
}

impl Front {
    /// Accepts no more, and waits until what is open has ended or [`SHUTDOWN`] is over.
    pub async fn close(self) {
        self.stop.cancel();
        // A little longer than the threads give their connections.
        let ended = futures_util::future::join_all(self.threads);
        if tokio::time::timeout(SHUTDOWN + Duration::from_secs(1), ended).await.is_err() {
            tracing::warn!("a thread that serves connections did not end in time");
        }
    }
}

fn tls_config(app: &App, verifier: impl Into<Arc<AgentVerifier>>) -> Result<ServerConfig, TlsError> {
    let mut tls = tls::server_config(verifier.into(), Arc::clone(&app.certificate))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Starts to serve.
///
/// # Errors
/// If the certificate cannot be used or there can be no threads.
pub fn listen(app: &Arc<App>, listener: TcpListener) -> Result<Front, FrontError> {
    let tls = Arc::new(tls_config(app, Arc::clone(&app.verifier))?);
    let site = Site { app: web::Data::from(Arc::clone(app)), tls, names_authorities: false };
    let people = Room { handshakes: listener::PEOPLE, connections: MAX_PEOPLE };
    let people = Crew::start("interface", Site { names_authorities: true, ..site.clone() }, people)?;
    let room = Room { handshakes: listener::AGENTS, connections: app.max_sessions };
    let workers = (0..app.config.workers.max(1))
        .map(|number| Crew::start(&format!("worker-{number}"), site.clone(), room))
        .collect::<io::Result<Vec<_>>>()?;
    let doors = Doors {
        people: people.connections,
        workers: workers.iter().map(|worker| worker.connections.clone()).collect(),
    };
    listener.set_nonblocking(true)?;
    let stop = CancellationToken::new();
    let accepting = {
        let stop = stop.clone();
        thread("accept", move || async move {
            match tokio::net::TcpListener::from_std(listener) {
                // Never ready: it accepts until it is stopped.
                Ok(listener) => drop(stop.run_until_cancelled(accept(listener, doors)).await),
                Err(error) => tracing::error!(%error, "the port cannot be used"),
            }
        })?
    };
    let mut threads = vec![accepting, people.ended];
    threads.extend(workers.into_iter().map(|worker| worker.ended));
    Ok(Front { stop, threads })
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The socket or a thread.
    #[error(transparent)]
    Io(#[from] io::Error),
}
