//! Transports: UDP, TCP and TLS.
