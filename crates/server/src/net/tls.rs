//! TLS: what the `tls-*` directives say, as configurations of rustls.
//!
//! Differs from Redis: versions before 1.2 are not spoken, and the library chooses the ciphers. As in Redis a peer's
//! certificate must come from a trusted authority, and the name in it is not compared with an address: nodes know each
//! other by addresses that change.
//!
//! Must not know: sockets, sessions.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::config::{Config, Param, TlsAuthClients};

/// Sessions kept if `tls-session-cache-size` is 0, which means no limit in Redis.
const MANY_SESSIONS: usize = 1 << 20;

/// Why TLS cannot be used as configured. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A directive that is needed is missing.
    #[error("{0}")]
    Missing(&'static str),
    /// `tls-protocols` has a word that means nothing, or nothing that is spoken.
    #[error("Invalid tls-protocols specified: {0}. Use a combination of 'TLSv1.2' and 'TLSv1.3'")]
    Protocols(String),
    /// A file cannot be read or holds nothing of use.
    #[error("{0}: {1}")]
    File(PathBuf, String),
    /// The certificate and the key do not belong together, or are of an unknown kind.
    #[error("{0}: {1}")]
    Certificate(PathBuf, rustls::Error),
    /// The library refuses the combination.
    #[error("{0}")]
    Library(String),
}

/// What connections are made with.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// For clients that connect. None: TLS is not used.
    pub server: Option<Arc<ServerConfig>>,
    /// For connections that this server makes (`tls-replication`, `tls-cluster`).
    pub client: Option<Arc<ClientConfig>>,
}

/// The configurations in use.
#[derive(Debug, Default)]
pub struct Tls {
    made: Mutex<Made>,
}

impl Tls {
    /// What new connections use.
    pub fn current(&self) -> Made {
        self.made.lock().clone()
    }

    /// Reads the directives and the files that they name. Connections that exist go on with what they have.
    ///
    /// # Errors
    /// See [`TlsError`]; what was in use stays in use.
    pub fn configure(&self, config: &Config) -> Result<(), TlsError> {
        let outgoing = config.flag(Param::TlsReplication) || config.flag(Param::TlsCluster);
        let made = if config.int(Param::TlsPort) == 0 && !outgoing {
            Made::default()
        } else {
            make(config, outgoing)?
        };
        *self.made.lock() = made;
        Ok(())
    }
}

/// True for the directives that [`Tls::configure`] reads.
pub fn concerns(param: Param) -> bool {
    matches!(
        param,
        Param::TlsPort
            | Param::TlsReplication
            | Param::TlsCluster
            | Param::TlsAuthClients
            | Param::TlsCaCertDir
            | Param::TlsCaCertFile
            | Param::TlsCertFile
            | Param::TlsKeyFile
            | Param::TlsKeyFilePass
            | Param::TlsClientCertFile
            | Param::TlsClientKeyFile
            | Param::TlsClientKeyFilePass
            | Param::TlsProtocols
            | Param::TlsSessionCacheSize
            | Param::TlsSessionCaching
    )
}

fn make(config: &Config, outgoing: bool) -> Result<Made, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = versions(&text(config, Param::TlsProtocols))?;
    let auth = config.int(Param::TlsAuthClients);
    let roots = roots(config)?;
    if roots.is_none() && (outgoing || auth != TlsAuthClients::No as i64) {
        return Err(TlsError::Missing(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or \
             tls-auth-clients are enabled!",
        ));
    }
    let own = Pair::read(
        config,
        (Param::TlsCertFile, Param::TlsKeyFile, Param::TlsKeyFilePass),
    )?;
    let Some(own) = own else {
        return Err(TlsError::Missing("No tls-cert-file configured!"));
    };
    let server = incoming(config, &provider, &versions, roots.as_ref(), &own)?;
    let client = match (outgoing, roots) {
        (true, Some(roots)) => {
            let other = Pair::read(
                config,
                (
                    Param::TlsClientCertFile,
                    Param::TlsClientKeyFile,
                    Param::TlsClientKeyFilePass,
                ),
            )?;
            Some(Arc::new(connector(
                &provider,
                &versions,
                &roots,
                other.unwrap_or(own),
            )?))
        }
        (true, None) | (false, _) => None,
    };
    Ok(Made {
        server: Some(Arc::new(server)),
        client,
    })
}

fn incoming(
    config: &Config,
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    roots: Option<&Arc<RootCertStore>>,
    own: &Pair,
) -> Result<ServerConfig, TlsError> {
    let library = |e: &dyn std::fmt::Display| TlsError::Library(e.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|e| library(&e))?;
    let auth = config.int(Param::TlsAuthClients);
    let builder = match roots {
        Some(roots) if auth != TlsAuthClients::No as i64 => {
            let mut verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
            if auth == TlsAuthClients::Optional as i64 {
                verifier = verifier.allow_unauthenticated();
            }
            builder.with_client_cert_verifier(verifier.build().map_err(|e| library(&e))?)
        }
        Some(_) | None => builder.with_no_client_auth(),
    };
    let mut made = builder
        .with_single_cert(own.chain.clone(), own.key.clone_key())
        .map_err(|e| TlsError::Certificate(own.path.clone(), e))?;
    if config.flag(Param::TlsSessionCaching) {
        let size = match config.int(Param::TlsSessionCacheSize) as usize {
            0 => MANY_SESSIONS,
            size => size,
        };
        made.session_storage = ServerSessionMemoryCache::new(size);
    } else {
        made.session_storage = Arc::new(NoServerSessionStorage {});
        made.send_tls13_tickets = 0;
    }
    Ok(made)
}

fn connector(
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    roots: &Arc<RootCertStore>,
    pair: Pair,
) -> Result<ClientConfig, TlsError> {
    let library = |e: &dyn std::fmt::Display| TlsError::Library(e.to_string());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
        .build()
        .map_err(|e| library(&e))?;
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|e| library(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
        .with_client_auth_cert(pair.chain, pair.key)
        .map_err(|e| TlsError::Certificate(pair.path, e))
}

/// A certificate and its private key.
struct Pair {
    path: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Pair {
    /// None: no certificate is configured.
    fn read(config: &Config, (cert, key, pass): (Param, Param, Param)) -> Result<Option<Self>, TlsError> {
        let path = PathBuf::from(text(config, cert));
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let key_path = text(config, key);
        if key_path.is_empty() {
            return Err(TlsError::Missing("No tls-key-file configured!"));
        }
        let chain = certificates(&path)?;
        let key = private_key(Path::new(&key_path), &text(config, pass))?;
        Ok(Some(Self { path, chain, key }))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |e: &dyn std::fmt::Display| TlsError::File(path.to_owned(), e.to_string());
    let found = CertificateDer::pem_file_iter(path)
        .map_err(|e| wrong(&e))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| wrong(&e))?;
    if found.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(found)
}

fn private_key(path: &Path, password: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    let wrong = |e: &dyn std::fmt::Display| TlsError::File(path.to_owned(), e.to_string());
    let pem = fs::read_to_string(path).map_err(|e| wrong(&e))?;
    if !pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|e| wrong(&e));
    }
    let (_, sealed) = pkcs8::SecretDocument::from_pem(pem.trim()).map_err(|e| wrong(&e))?;
    let opened = pkcs8::EncryptedPrivateKeyInfo::try_from(sealed.as_bytes())
        .and_then(|sealed| sealed.decrypt(password))
        .map_err(|_| {
            wrong(&"the key is encrypted, and its password in tls-key-file-pass does not open it")
        })?;
    Ok(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec()).into())
}

/// The trusted authorities of the file and of all files of the directory; None: neither is configured.
fn roots(config: &Config) -> Result<Option<Arc<RootCertStore>>, TlsError> {
    let (file, dir) = (
        text(config, Param::TlsCaCertFile),
        text(config, Param::TlsCaCertDir),
    );
    if file.is_empty() && dir.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    if !file.is_empty() {
        let path = Path::new(&file);
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|e| TlsError::Certificate(path.to_owned(), e))?;
        }
    }
    if !dir.is_empty() {
        let wrong = |e: std::io::Error| TlsError::File(dir.clone().into(), e.to_string());
        for entry in fs::read_dir(&dir).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            // The directory may hold other files.
            for certificate in certificates(&path).unwrap_or_default() {
                if let Err(error) = roots.add(certificate) {
                    tracing::warn!(path = %path.display(), %error, "not a certificate of an authority");
                }
            }
        }
    }
    Ok(Some(Arc::new(roots)))
}

fn versions(protocols: &str) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut versions = Vec::new();
    for word in protocols.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.push(&rustls::version::TLS12),
            "tlsv1.3" => versions.push(&rustls::version::TLS13),
            "tlsv1" | "tlsv1.1" => tracing::warn!("{word} is not safe and not spoken"),
            _ => return Err(TlsError::Protocols(protocols.to_owned())),
        }
    }
    match (versions.is_empty(), protocols.trim().is_empty()) {
        (true, true) => Ok(rustls::ALL_VERSIONS.to_vec()),
        (true, false) => Err(TlsError::Protocols(protocols.to_owned())),
        (false, _) => Ok(versions),
    }
}

fn text(config: &Config, param: Param) -> String {
    String::from_utf8_lossy(&config.text(param)).into_owned()
}

/// Trusts a certificate by who has signed it, whatever name is in it.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // The name is looked at last: everything else is right.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
