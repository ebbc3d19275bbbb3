//! TLS: whom to trust, who we are, and an encrypted session that two threads share.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::socket::Socket;
use crate::error::{Error, Result};

/// How to speak TLS. The default trusts whom the system trusts.
#[derive(Clone, Default, Debug)]
pub struct TlsOptions {
    /// Trust those certificates, and no others.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have, where it is not the host's.
    pub name: Option<String>,
    /// Trust anybody.
    pub insecure: bool,
}

/// What every session with servers has in common.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: Option<String>,
}

impl Tls {
    pub(super) fn new(options: &TlsOptions) -> Result<Tls> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(|e| Error::connection(e.to_string()))?;
        let builder = if options.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            builder.with_root_certificates(roots(options.ca.as_deref())?)
        };
        let config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let own = PrivateKeyDer::from_pem_file(key).map_err(|e| bad_file(key, &e))?;
                builder.with_client_auth_cert(chain, own).map_err(|e| bad_file(certificate, &e))?
            }
        };
        Ok(Tls { config: Arc::new(config), name: options.name.clone() })
    }

    /// Makes a socket's session, up to the end of the handshake.
    pub(super) fn shake_hands(&self, socket: &Socket, host: &str) -> Result<Session, Failure> {
        let name = self.name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|e| Failure::Tls(e.to_string()))?;
        let mut connection =
            ClientConnection::new(self.config.clone(), name).map_err(|e| Failure::Tls(e.to_string()))?;
        let mut stream = socket;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(failure)?;
        }
        let inner = Inner { connection, incoming: vec![0; 32 << 10], start: 0, end: 0 };
        Ok(Session { inner: Mutex::new(inner), outgoing: Mutex::default() })
    }
}

/// Why a handshake failed.
pub(super) enum Failure {
    /// The other side does not speak TLS.
    NotTls,
    /// It does, and we do not come together.
    Tls(String),
    /// The connection failed.
    Io(io::Error),
}

fn failure(e: io::Error) -> Failure {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => Failure::NotTls,
        Some(rustls::Error::InvalidCertificate(why)) => Failure::Tls(match why {
            rustls::CertificateError::UnknownIssuer => {
                "its certificate is of an issuer that is not trusted here; name the file of that issuer's certificate with \
                 --tls-ca"
                    .into()
            }
            other => format!("its certificate is not accepted: {other}"),
        }),
        Some(other) => Failure::Tls(other.to_string()),
        None => Failure::Io(e),
    }
}

fn bad_file(path: &Path, e: &dyn fmt::Display) -> Error {
    Error::usage(e.to_string()).in_input(&path.display().to_string())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if all.is_empty() => Err(bad_file(path, &"there is no certificate in it (PEM is understood)")),
        Ok(all) => Ok(all),
        Err(e) => Err(bad_file(path, &e)),
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| bad_file(path, &e))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() {
        return Err(Error::usage("the system knows no certificates to trust; name some with --tls-ca FILE"));
    }
    Ok(roots)
}

/// Trusts every certificate: what `insecure` stands for.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// An encrypted session. Neither direction waits for the socket while it holds what the other one needs.
pub(super) struct Session {
    inner: Mutex<Inner>,
    /// Encrypted bytes on their way out. Whoever holds it is the one that writes to the socket.
    outgoing: Mutex<Vec<u8>>,
}

struct Inner {
    connection: ClientConnection,
    /// Encrypted bytes that came in; those from `start` to `end` are not decrypted yet.
    incoming: Vec<u8>,
    start: usize,
    end: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Session {
    pub(super) fn write(&self, mut socket: &Socket, buf: &[u8]) -> io::Result<usize> {
        let mut outgoing = lock(&self.outgoing);
        outgoing.clear();
        let taken = {
            let connection = &mut lock(&self.inner).connection;
            let taken = connection.writer().write(buf)?;
            while connection.wants_write() {
                connection.write_tls(&mut *outgoing)?;
            }
            taken
        };
        socket.write_all(&outgoing)?;
        Ok(taken)
    }

    pub(super) fn read(&self, mut socket: &Socket, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(n) = lock(&self.inner).decrypted(buf)? {
                return Ok(n);
            }
            // Only one thread reads; the socket is waited for without the lock, so that the other one can write.
            let mut arrived = [0; 32 << 10];
            let n = socket.read(&mut arrived)?;
            let inner = &mut *lock(&self.inner);
            if n == 0 {
                return Ok(0);
            }
            inner.incoming[..n].copy_from_slice(&arrived[..n]);
            (inner.start, inner.end) = (0, n);
        }
    }
}

impl Inner {
    /// What is readable without the socket; `None` if nothing is.
    fn decrypted(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.connection.reader().read(buf) {
                Ok(n) => return Ok(Some(n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
            if self.start == self.end {
                return Ok(None);
            }
            let mut rest = &self.incoming[self.start..self.end];
            self.start += self.connection.read_tls(&mut rest)?;
            self.connection.process_new_packets().map_err(io::Error::other)?;
        }
    }
}
