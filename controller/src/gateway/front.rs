//! The one port, and who is served by whom.
//!
//! Agents are spread over worker threads, one for each processor by default. People and programs at the
//! interface have a thread of their own: a fleet that returns at once keeps the workers busy for seconds, and
//! somebody who looks at it meanwhile must not wait behind ten thousand handshakes. Who it is tells the first
//! message of a connection.

use super::listener::{self, Places, Refused};
use super::websocket::{self, Stream};
use crate::app::App;
use crate::identity::peer::{ConnectionInfo, Peer};
use crate::identity::tls::{self, TlsError};
use actix_http::{HttpService, Protocol, Request};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory as _, Service, ServiceFactory, ServiceFactoryExt as _, fn_factory, fn_service,
    map_config,
};
use actix_web::dev::{AppConfig, Extensions};
use actix_web::middleware::Compress;
use actix_web::rt::net::TcpStream;
use actix_web::{App as HttpApp, web};
use rustls::ServerConfig;
use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;
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
/// Connections that may wait for the thread of the interface.
const QUEUE: usize = 256;

/// What every thread serves with.
#[derive(Clone)]
struct Site {
    app: web::Data<App>,
    tls: Arc<ServerConfig>,
}

type Accepted = (Stream, Protocol, Option<SocketAddr>);

impl Site {
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
            .map_err(|error| error.error_response());
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
async fn attend<S>(tcp: TcpStream, site: &Site, places: &Semaphore, http: &S) -> Result<(), Refused>
where
    S: Service<Accepted, Response = (), Error = actix_http::error::DispatchError>,
{
    // The handshake's state is not kept for the life of the connection.
    let accepted = Box::pin(listener::shake(tcp, Arc::clone(&site.tls), places)).await?;
    http.call(accepted).await.map_err(Refused::Service)
}

/// The thread that serves people and programs.
pub struct Desk {
    connections: mpsc::Sender<std::net::TcpStream>,
    ended: oneshot::Receiver<()>,
}

impl Desk {
    /// # Errors
    /// If there can be no thread.
    fn start(site: Site) -> std::io::Result<Self> {
        let (connections, received) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("interface".to_owned()).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, serve_people(site, received));
            // Nobody waits if the start failed behind this.
            let _ = end.send(());
        })?;
        Ok(Self { connections, ended })
    }

    /// Takes no more, and waits until what is open has ended or [`SHUTDOWN`] is over.
    pub async fn close(self) {
        drop(self.connections);
        // A little longer than the thread gives the connections.
        if tokio::time::timeout(SHUTDOWN + Duration::from_secs(1), self.ended).await.is_err() {
            tracing::warn!("the thread of the interface did not end in time");
        }
    }
}

async fn serve_people(site: Site, mut connections: mpsc::Receiver<std::net::TcpStream>) {
    let Ok(http) = site.http().new_service(()).await else {
        tracing::error!("the interface has no routes");
        return;
    };
    let http = Rc::new(http);
    let (open, handshakes) = (TaskTracker::new(), Rc::new(Semaphore::new(listener::PEOPLE)));
    while let Some(connection) = connections.recv().await {
        let tcp = match TcpStream::from_std(connection) {
            Ok(tcp) if open.len() < MAX_PEOPLE => tcp,
            Ok(_) => {
                tracing::warn!(limit = MAX_PEOPLE, "too many connections at the interface, one was refused");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection at the interface could not be served");
                continue;
            }
        };
        let (site, http, handshakes) = (site.clone(), Rc::clone(&http), Rc::clone(&handshakes));
        open.spawn_local(async move {
            if let Err(error) = attend(tcp, &site, &handshakes, &*http).await {
                tracing::debug!(?error, "a connection at the interface ended");
            }
        });
    }
    open.close();
    // Whoever does not end is cut off.
    let _ = tokio::time::timeout(SHUTDOWN, open.wait()).await;
}

/// Starts to serve.
///
/// # Errors
/// If the certificate cannot be used or there can be no threads.
pub fn listen(app: &Arc<App>, listener: TcpListener) -> Result<(Server, Desk), FrontError> {
    let mut tls = tls::server_config(Arc::clone(&app.verifier), Arc::clone(&app.certificate))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let site = Site { app: web::Data::from(Arc::clone(app)), tls: Arc::new(tls) };
    let desk = Desk::start(site.clone())?;
    // The desk ends when the last worker has.
    let to_desk = desk.connections.clone();
    let workers = move || {
        let (site, to_desk) = (site.clone(), to_desk.clone());
        fn_factory(move || {
            let (site, to_desk) = (site.clone(), to_desk.clone());
            async move {
                let http = Rc::new(site.http().new_service(()).await?);
                let places = Rc::<Places>::default();
                Ok::<_, ()>(fn_service(move |tcp: TcpStream| {
                    let (site, to_desk) = (site.clone(), to_desk.clone());
                    let (http, places) = (Rc::clone(&http), Rc::clone(&places));
                    async move {
                        if listener::is_http_client(&tcp).await? {
                            return hand_over(tcp, &to_desk);
                        }
                        attend(tcp, &site, &places.0, &*http).await
                    }
                }))
            }
        })
    };
    let server = Server::build()
        .workers(app.config.workers.max(1))
        .shutdown_timeout(SHUTDOWN.as_secs())
        .disable_signals()
        .listen("controller", listener, workers)?;
    Ok((server.run(), desk))
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The socket or a thread.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn hand_over(tcp: TcpStream, to_desk: &mpsc::Sender<std::net::TcpStream>) -> Result<(), Refused> {
    let connection = tcp.into_std().map_err(Refused::Tls)?;
    to_desk.try_send(connection).map_err(|_| {
        tracing::warn!(limit = QUEUE, "too many connections wait for the interface, one was refused");
        Refused::Timeout
    })
}
