//! Who may speak on the bus: whoever shows a certificate of the cluster's authority, or knows its secret. Must not know:
//! what is said.
//!
//! With a secret, each stream begins with a proof: a fresh number, the time and the receiver's port, under HMAC-SHA256. A
//! proof is good once and for a minute of clock difference. It keeps strangers out; against somebody who can change packets
//! on the way, use TLS.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use super::StartError;

/// Certificates of the bus, PEM.
#[derive(Clone)]
pub struct Tls {
    /// The authority that signed all nodes' certificates.
    pub authority: Vec<u8>,
    /// This node's certificate.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// The name that all nodes' certificates have (a DNS name of theirs).
    pub name: String,
}

/// Who may speak on the bus.
#[derive(Clone)]
pub enum Security {
    /// Anybody who reaches the interface.
    Open,
    /// Who knows the secret.
    Secret(Vec<u8>),
    /// Who has a certificate of the authority; and who does not know the secret, if there is one, may not either.
    Mutual(Tls, Option<Vec<u8>>),
}

impl Security {
    /// Whether anybody may speak.
    pub fn is_open(&self) -> bool {
        matches!(self, Security::Open)
    }

    fn secret(&self) -> Option<&[u8]> {
        match self {
            Security::Open => None,
            Security::Secret(secret) => Some(secret),
            Security::Mutual(_, secret) => secret.as_deref(),
        }
    }

    pub(super) fn tls(&self) -> Result<Option<(ServerTlsConfig, ClientTlsConfig)>, StartError> {
        let Security::Mutual(tls, _) = self else {
            return Ok(None);
        };
        for (what, pem) in [
            ("authority", &tls.authority),
            ("certificate", &tls.certificate),
            ("key", &tls.key),
        ] {
            if !pem.starts_with(b"-----BEGIN") {
                return Err(StartError::Tls(format!("the {what} is no PEM text")));
            }
        }
        let identity = Identity::from_pem(&tls.certificate, &tls.key);
        let authority = Certificate::from_pem(&tls.authority);
        let server = ServerTlsConfig::new()
            .identity(identity.clone())
            .client_ca_root(authority.clone());
        let client = ClientTlsConfig::new()
            .identity(identity)
            .ca_certificate(authority)
            .domain_name(tls.name.clone());
        Ok(Some((server, client)))
    }
}

const PROOF: &str = "holdfast-proof";
/// Seconds that two clocks may differ.
const TOLERANCE: u64 = 60;
/// Proofs that are remembered.
const MAX_SEEN: usize = 100_000;

/// Checks the proofs of peers.
pub(super) struct Guard {
    security: Security,
    /// Proofs that were used, by their time.
    seen: Mutex<BTreeMap<(u64, Vec<u8>), ()>>,
}

impl Guard {
    pub(super) fn new(security: Security) -> Self {
        Self {
            security,
            seen: Mutex::default(),
        }
    }

    /// Whether a stream that begins with this may go on.
    pub(super) fn admits(&self, metadata: &MetadataMap, unix: u64, port: u16) -> bool {
        let Some(secret) = self.security.secret() else {
            return true;
        };
        let Some(proof) = metadata.get(PROOF).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let mut parts = proof.split('.');
        let (Some(time), Some(nonce), Some(code), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let Ok(seconds) = time.parse::<u64>() else {
            return false;
        };
        let Some(code) = unhex(code) else { return false };
        if seconds.abs_diff(unix) > TOLERANCE || nonce.len() != 32 {
            return false;
        }
        let mut mac = keyed(secret);
        mac.update(format!("{time}.{nonce}.{port}").as_bytes());
        if mac.verify_slice(&code).is_err() {
            return false;
        }
        let mut seen = self.seen.lock();
        let old = unix.saturating_sub(2 * TOLERANCE);
        *seen = seen.split_off(&(old, Vec::new()));
        seen.len() < MAX_SEEN && seen.insert((seconds, nonce.as_bytes().to_vec()), ()).is_none()
    }
}

/// The proof for a stream to this port, if the bus has a secret.
pub(super) fn prove(security: &Security, metadata: &mut MetadataMap, unix: u64, nonce: u128, port: u16) {
    let Some(secret) = security.secret() else { return };
    let text = format!("{unix}.{nonce:032x}");
    let mut mac = keyed(secret);
    mac.update(format!("{text}.{port}").as_bytes());
    let code: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if let Ok(value) = format!("{text}.{code}").parse() {
        metadata.insert(PROOF, value);
    }
}

fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes keys of any length")
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_once_in_time_for_one_port_and_one_secret() {
        let security = Security::Secret(b"s3cret".to_vec());
        let guard = Guard::new(security.clone());
        let mut proof = MetadataMap::new();
        prove(&security, &mut proof, 1000, 7, 17000);
        assert!(!guard.admits(&MetadataMap::new(), 1000, 17000), "no proof");
        assert!(!guard.admits(&proof, 1000, 17001), "for another port");
        assert!(!guard.admits(&proof, 1100, 17000), "too old");
        assert!(guard.admits(&proof, 1030, 17000), "clocks differ by seconds");
        assert!(!guard.admits(&proof, 1030, 17000), "used before");
        let mut wrong = MetadataMap::new();
        prove(&Security::Secret(b"other".to_vec()), &mut wrong, 1000, 8, 17000);
        assert!(!guard.admits(&wrong, 1000, 17000));
        let mut garbage = MetadataMap::new();
        garbage.insert(
            PROOF,
            "1000.zz.é"
                .parse()
                .unwrap_or_else(|_| "1000.zz.zz".parse().unwrap()),
        );
        assert!(!guard.admits(&garbage, 1000, 17000));
        assert!(Guard::new(Security::Open).admits(&MetadataMap::new(), 1000, 17000));
    }
}
